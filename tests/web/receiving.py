"""What tests of the webhooks know of the receiving side."""

from builders import ACCOUNT_SID, TOKEN
from twilio_campaigns.gateway.settings import TwilioSettings
from web.twilio_posts import PUBLIC_URL

OTHER_ACCOUNT = "AC" + "e" * 32


def account(**changes):
    return TwilioSettings(**{"account_sid": ACCOUNT_SID, "auth_token": TOKEN, "public_url": PUBLIC_URL, **changes})


def everything(query):
    """Every table that a webhook may touch, except the counts of what was turned away."""
    return {
        table: query(f"select * from {table} order by 1, 2")
        for table in (
            "messages",
            "campaign_events",
            "inbound_messages",
            "suppressions",
            "stray_messages",
            "link_clicks",
            "campaign_runs",
        )
    }
