"""What Twilio, and people, reach over HTTP."""
