"""Where the account's webhooks lead: what one would enter in Twilio's console."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from twilio_campaigns.simulator.overrides import is_url

_PHONE_OR_SERVICE: Final = r"^(\+[1-9][0-9]{6,14}|[0-9]{3,8}|MG[0-9a-fA-F]{32})$"


def _checked(url: str) -> str:
    if not is_url(url):
        raise ValueError("this is no URL that Twilio would post to: http(s), no spaces, no underscore in the host")
    return url


#: A URL, with Twilio's connection overrides behind `#`.
WebhookUrl = Annotated[str, AfterValidator(_checked)]


class Webhooks(BaseModel):
    """Settings of an account's webhooks; status callbacks are not here, each message names its own.

    :param inbound_url: gets what people write to us, unless `inbound_urls` knows better.
    :param inbound_urls: the same for single Messaging Services and numbers; a service goes before its number.
    :param advanced_opt_out: whether Messaging Services have Advanced Opt-Out: it tells `OptOutType`.
    :param link_domain: host of shortened links, with `http://` before it where it has no certificate; without one
        nothing is shortened.
    :param click_url: gets clicks on shortened links.
    :param fallback_url: where people land whose shortened link is unknown or older than 90 days.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inbound_url: WebhookUrl | None = None
    inbound_urls: dict[Annotated[str, Field(pattern=_PHONE_OR_SERVICE)], WebhookUrl] = {}
    advanced_opt_out: bool = False
    link_domain: Annotated[str, Field(pattern=r"^(https?://)?[A-Za-z0-9.-]+(:[0-9]{1,5})?$")] | None = None
    click_url: WebhookUrl | None = None
    fallback_url: WebhookUrl | None = None

    def inbound_url_of(self, number: str, service: str | None) -> str | None:
        """Give where it is told that somebody wrote to a number, which may belong to a service."""
        for receiver in (service, number):
            if receiver in self.inbound_urls:
                return self.inbound_urls[receiver]
        return self.inbound_url

    @property
    def link_base(self) -> str | None:
        """What shortened links begin with."""
        if self.link_domain is None:
            return None
        return self.link_domain if "://" in self.link_domain else f"https://{self.link_domain}"
