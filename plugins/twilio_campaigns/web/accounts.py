"""Whose webhooks are taken: the accounts of our connections, their secrets and addresses, read anew every minute."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.gateway.signature import SignatureCheck, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from twilio_campaigns.gateway.settings import TwilioSettings

log = logging.getLogger(__name__)

#: Seconds for which connections are taken to be as they were read.
FRESH: Final = 60.0
#: Seconds between two readings for an account that nobody knows: it may be new, it may be anybody's.
SOONEST: Final = 5.0
#: Seconds for which a connection that cannot be read any more counts as it was: Airflow says "there is none" also
#: when its own database is away.
MEMORY: Final = 600.0


@dataclass(frozen=True, slots=True)
class Account:
    """A Twilio account whose webhooks we take.

    :param connections: Airflow connections that name it.
    :param check: knows its secrets.
    :param addresses: public addresses of our webhooks, in every spelling.
    """

    sid: str
    connections: tuple[str, ...]
    check: SignatureCheck
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    settings: TwilioSettings
    at: float


class Accounts:
    """The accounts of our connections.

    :param connections: gives the connections whose webhooks are taken; called in a thread.
    :param settings_of: reads one; called in a thread.
    :param executor: that thread.
    :param clock: seconds.
    """

    def __init__(
        self,
        connections: Callable[[], Iterable[str]],
        settings_of: Callable[[str], TwilioSettings],
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._settings_of = settings_of
        self._executor = executor
        self._clock = clock
        self._known: dict[str, _Read] = {}
        self._names: list[str] = []
        self._complaints: dict[str, str] = {}
        self._accounts: Mapping[str, Account] = {}
        self._read_at: float | None = None
        self._reading: asyncio.Future[None] | None = None

    async def of(self, sid: str | None) -> Sequence[Account]:
        """Give the account with this SID, if it is ours; all of them for no SID.

        :raises TwilioCampaignsError: when it could not be read so far which connections there are.
        """
        age = FRESH if self._read_at is None else self._clock() - self._read_at
        if age >= FRESH:
            reading = self._read()
            if self._read_at is None:
                await asyncio.shield(reading)
        elif sid is not None and sid not in self._accounts and age >= SOONEST:
            await asyncio.shield(self._read())
        if sid is None:
            return list(self._accounts.values())
        account = self._accounts.get(sid)
        return [] if account is None else [account]

    def _read(self) -> asyncio.Future[None]:
        """Read once for everybody who asks meanwhile."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().run_in_executor(self._executor, self._read_now)
            self._reading.add_done_callback(_seen)
        return self._reading

    def _read_now(self) -> None:
        now = self._clock()
        names = self._read_names()
        for name in names:
            try:
                self._known[name] = _Read(self._settings_of(name), now)
                self._complaints.pop(name, None)
            except TwilioCampaignsError as error:
                self._complain(name, str(error))
        self._known = {name: read for name, read in self._known.items() if name in names and now - read.at < MEMORY}
        self._accounts = _accounts({name: read.settings for name, read in sorted(self._known.items())})
        for account in self._accounts.values():
            self._warn(account)
        self._read_at = now

    def _read_names(self) -> list[str]:
        try:
            self._names = sorted(set(self._connections()))
        except TwilioCampaignsError:
            # What was known goes on; without anything known nobody can be told to be unknown.
            if self._read_at is None:
                raise
        return self._names

    def _warn(self, account: Account) -> None:
        """Say once what keeps webhooks of an account from being taken."""
        if not account.check.can_hold:
            self._complain(
                account.sid,
                f"Webhooks of connection {', '.join(account.connections)} are refused: without the Auth Token nobody "
                "can check their signatures. Put it into password, also beside an API key.",
            )

    def _complain(self, about: str, message: str) -> None:
        if self._complaints.get(about) != message:
            self._complaints[about] = message
            log.warning("%s", message)


def _accounts(settings: Mapping[str, TwilioSettings]) -> dict[str, Account]:
    """Put connections of the same account together: each one's secret may have signed."""
    accounts: dict[str, Account] = {}
    for sid in {one.account_sid for one in settings.values()}:
        of_account = {name: one for name, one in settings.items() if one.account_sid == sid}
        addresses = {one.public_url for one in of_account.values() if one.public_url}
        tokens = [one.auth_token for one in of_account.values()] + [
            one.previous_auth_token for one in of_account.values()
        ]
        keys = [one.webhook_shared_key for one in of_account.values()]
        accounts[sid] = Account(
            sid,
            tuple(of_account),
            SignatureCheck(
                dict.fromkeys(token.get_secret_value() for token in tokens if token),
                dict.fromkeys(key.get_secret_value() for key in keys if key),
            ),
            tuple(spelling for address in sorted(addresses) for spelling in spellings(address)),
        )
    return accounts


def _seen(reading: asyncio.Future[None]) -> None:
    """Take note of an error, also where nobody waits for it; that the warehouse is away is said elsewhere."""
    error = None if reading.cancelled() else reading.exception()
    if error is not None and not isinstance(error, TwilioCampaignsError):
        log.error("Connections cannot be read.", exc_info=error)
