"""Links to Twilio's console."""

from __future__ import annotations

from twilio_campaigns.links.kept import KeptLink


class TwilioMessageLink(KeptLink):
    """One message in the log of Twilio's console, by its SID."""

    name = "Twilio message"


class TwilioMessageLogLink(KeptLink):
    """The log of Twilio's console, by sender where that is a number."""

    name = "Twilio message log"
