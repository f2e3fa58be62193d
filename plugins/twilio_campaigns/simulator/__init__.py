"""A Twilio that runs on a laptop."""
