"""Everything that knows Twilio's API: settings, client, the outcome of an answer."""
