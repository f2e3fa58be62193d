"""Every duration that the protocols name, in one place, so that tests and demos take seconds.

Each value may be set by an environment variable ``TWILIO_CAMPAIGNS__<NAME>``; the defaults are those of
PROTOCOLS.md and right for production.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.reconciling import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "TWILIO_CAMPAIGNS__"

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(value: Any) -> Any:  # noqa: ANN401 - pydantic hands over whatever it was given
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if text[-1:] in _UNITS:
        return timedelta(seconds=float(text[:-1]) * _UNITS[text[-1]])
    return timedelta(seconds=float(text))


def _durations(value: Any) -> Any:  # noqa: ANN401 - the same
    return [_duration(item) for item in value.split(",")] if isinstance(value, str) else value


def _words(value: Any) -> Any:  # noqa: ANN401 - the same
    return [word for item in value.split(",") if (word := item.strip())] if isinstance(value, str) else value


def _networks(value: Any) -> Any:  # noqa: ANN401 - the same
    return tuple(ip_network(word, strict=False) for word in _words(value))


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]


class Settings(BaseModel):
    """Settings of this deployment.

    :param include: folder of campaigns, segments and senders; next to the DAGs folder when empty.
    :param db_schema: warehouse schema (variable ``TWILIO_CAMPAIGNS__SCHEMA``).
    :param post_window: how long after a claim a POST may still start.
    :param lease: how long a claim is nobody else's.
    :param day_lease: how long a reader of a day may be silent before another one may read it.
    :param lookup_gap: how far apart two look-ups of a lost answer are.
    :param tracking_window: how long after acceptance a message is looked after.
    :param ladder: ages at which an open message is looked at.
    :param look_slack: share of such an age by which a look may come late, so that more falls due together.
    :param settle_unpriced_after: how long after its final status a message waits for its price.
    :param reserve_depth: how far ahead of now a sender's capacity may be reserved.
    :param min_wait: shortest pause between two passes over a day: what falls due meanwhile is read together.
    :param max_wait: longest pause between two passes while a day is fresh.
    :param wait_in_place: pauses shorter than this are slept, longer ones are deferred to the triggerer.
    :param retry_delay: how long a failed task waits before its first retry; later ones wait longer.
    :param paused_wait: how often a paused run is looked at, to see whether somebody resumed it.
    :param fetch_concurrency: API calls of one pass at a time, per account: pages of lists and single messages.
    :param missing_per_pass: how many messages that lists should show and do not are asked for alone in one pass, beside
        those whose last look it is.
    :param young: how long a 404 on a message means "later" rather than "lost".
    :param inbound_every: how often replies are read.
    :param opt_out_words: words of the account that opt out, beside Twilio's English ones; comma separated.
    :param opt_in_words: the same for opting in again.
    :param help_words: the same for asking for help.
    :param webhook_connections: Airflow connections whose webhooks are taken, beside those that campaigns used within
        the last 30 days; comma separated.
    :param webhook_budget: a webhook that is not written by then is answered 503, and Twilio tries again. Twilio itself
        waits for 15 s.
    :param trusted_proxies: addresses and networks (``10.0.0.5,10.1.0.0/16``) whose ``X-Forwarded-Proto`` and
        ``X-Forwarded-Host`` say under which URL Twilio called, beside the connection's ``public_url``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: Path | None = None
    db_schema: str = Field(default="messaging", pattern=r"^[a-z_][a-z0-9_]{0,62}$", alias="schema")
    post_window: Duration = timedelta(seconds=20)
    lease: Duration = timedelta(minutes=10)
    day_lease: Duration = timedelta(minutes=5)
    lookup_gap: Duration = timedelta(minutes=30)
    tracking_window: Duration = timedelta(days=4)
    ladder: Annotated[tuple[timedelta, ...], BeforeValidator(_durations)] = tuple(
        timedelta(minutes=minutes)
        for minutes in (1, 5, 15, 60, 3 * 60, 6 * 60, 12 * 60, 24 * 60, 48 * 60, 72 * 60, 96 * 60)
    )
    look_slack: float = Field(default=0.25, ge=0, le=1)
    settle_unpriced_after: Duration = timedelta(hours=48)
    reserve_depth: Duration = timedelta(seconds=2)
    min_wait: Duration = timedelta(minutes=2)
    max_wait: Duration = timedelta(minutes=15)
    wait_in_place: Duration = timedelta(minutes=1)
    retry_delay: Duration = timedelta(seconds=30)
    paused_wait: Duration = timedelta(minutes=2)
    fetch_concurrency: int = Field(default=60, ge=1, le=100)
    missing_per_pass: int = Field(default=10_000, ge=1)
    young: Duration = timedelta(hours=24)
    inbound_every: Duration = timedelta(minutes=15)
    opt_out_words: Words = ()
    opt_in_words: Words = ()
    help_words: Words = ()
    webhook_connections: Words = ("twilio_default",)
    webhook_budget: Duration = timedelta(seconds=10)
    trusted_proxies: Networks = ()

    @property
    def schedule(self) -> Schedule:
        """When open messages are looked at."""
        return Schedule(self.ladder, self.settle_unpriced_after, self.look_slack)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read every ``TWILIO_CAMPAIGNS__*`` variable.

        :raises ConfigurationError: for an unknown or unreadable one, by name.
        """
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environ.items()
            if name.startswith(PREFIX) and value
        }
        try:
            return cls.model_validate(given)
        except (ValidationError, ValueError) as error:
            raise ConfigurationError(_explain(error)) from None


def _explain(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"A {PREFIX}* environment variable cannot be read: {error}."
    lines = []
    for problem in error.errors():
        name = PREFIX + "_".join(str(part) for part in problem["loc"]).upper()
        if problem["type"] == "extra_forbidden":
            known = ", ".join(sorted(PREFIX + (f.alias or n).upper() for n, f in Settings.model_fields.items()))
            lines.append(f"Environment variable {name} is no setting of ours. Unset it, or use one of: {known}.")
        else:
            lines.append(f"Environment variable {name}: {problem['msg']}. Write durations as 90s, 15m, 4h or 4d.")
    return "\n".join(lines)
