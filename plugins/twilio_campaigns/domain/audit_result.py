"""What an audit of a day found, in figures and in words for people. Pure.

Three kinds of gap: a message that Twilio accepted and does not know any more (`missing`), one of which Twilio's last
word goes further than the ledger's (`different`), and one at Twilio that looks like a campaign's and has no row
(`orphan`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from twilio_campaigns.domain.exceptions import TerminalError
from twilio_campaigns.domain.log_table import log_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from twilio_campaigns.domain.exceptions import TwilioCampaignsError

#: Findings of each kind that an audit keeps one by one; counts are exact.
KEPT: Final = 1000


class Kind(StrEnum):
    """What is wrong with a message."""

    MISSING = "missing"
    ORPHAN = "orphan"
    DIFFERENT = "different"


class Search(StrEnum):
    """Among which messages orphans were looked for."""

    ACCOUNT = "every message of the account"
    NUMBERS = "the messages of every From number that the ledger knows"
    PART = "a part of the messages: lists were longer than they are worth"


@dataclass(frozen=True, slots=True)
class Finding:
    """One message that is not as it should be; the columns of table `reconcile_audit_findings`."""

    kind: Kind
    message_sid: str
    message_key: UUID | None = None
    ledger_status: str | None = None
    provider_status: str | None = None


@dataclass(slots=True)
class AccountAudit:
    """What the audit of one account's day came to; counts of messages unless said otherwise.

    :param listed: messages that lists gave, anybody's.
    :param fetched: rows that no list showed and that were asked for one by one.
    :param accepted: accepted rows of the ledger.
    :param matched: rows whose message is as they say, or of which the ledger knows more.
    :param still_open: rows whose message is not as they say, but whose window is not over.
    :param doubtful: messages that may belong to rows of which nobody knows whether Twilio has them; no orphans.
    :param set_aside: messages that stand in `stray_messages`; no orphans.
    :param search: among which messages orphans were looked for.
    :param failure: why it is incomplete.
    """

    day: date
    connection: str
    started_at: datetime
    audit_id: UUID = field(default_factory=uuid4)
    complete: bool = False
    api_calls: int = 0
    listed: int = 0
    fetched: int = 0
    accepted: int = 0
    matched: int = 0
    missing: int = 0
    orphans: int = 0
    different: int = 0
    still_open: int = 0
    doubtful: int = 0
    set_aside: int = 0
    search: Search = Search.ACCOUNT
    failure: TwilioCampaignsError | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def gaps(self) -> int:
        """Messages that are not as they should be."""
        return self.missing + self.orphans + self.different

    @property
    def error(self) -> str | None:
        """The failure, as a table shows it."""
        return f"{type(self.failure).__name__}: {self.failure}" if self.failure else None

    def find(self, finding: Finding) -> None:
        """Count a finding, and keep it while there are few of its kind."""
        if finding.kind is Kind.MISSING:
            self.missing, found = self.missing + 1, self.missing
        elif finding.kind is Kind.ORPHAN:
            self.orphans, found = self.orphans + 1, self.orphans
        else:
            self.different, found = self.different + 1, self.different
        if found < KEPT:
            self.findings.append(finding)

    def first(self, kind: Kind) -> str | None:
        """Give the SID of the first finding of a kind, for people to begin with."""
        return next((finding.message_sid for finding in self.findings if finding.kind is kind), None)

    def line(self) -> str:
        """Give one line for a log, without any number or body."""
        usual = {"match": self.matched, "missing": self.missing, "different": self.different, "orphans": self.orphans}
        others = {
            "still open": self.still_open,
            "may be of rows in doubt": self.doubtful,
            "in stray_messages": self.set_aside,
        }
        counts = usual | {words: count for words, count in others.items() if count}
        said = f"{self.accepted:,} accepted: " + ", ".join(f"{count:,} {words}" for words, count in counts.items())
        cost = f"{self.api_calls:,} API calls, {self.listed:,} listed, {self.fetched:,} fetched"
        if self.failure:
            return f"{self.connection}: INCOMPLETE ({self.failure}). So far {said} ({cost})."
        return f"{self.connection}: {said} ({cost}; orphans looked for among {self.search})."


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What the audit of a day came to, account by account."""

    day: date
    accounts: tuple[AccountAudit, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything could be read."""
        return all(account.complete for account in self.accounts)

    @property
    def gaps(self) -> int:
        """Messages that are not as they should be."""
        return sum(account.gaps for account in self.accounts)

    @property
    def is_clean(self) -> bool:
        """Whether everything was read and nothing is wrong."""
        return self.is_complete and not self.gaps

    @property
    def needs_a_person(self) -> bool:
        """Whether trying again cannot make it clean: everything was read that can be, or an account is refused."""
        failures = [account.failure for account in self.accounts if account.failure]
        return not self.is_clean and (not failures or any(isinstance(failure, TerminalError) for failure in failures))

    def figures(self) -> dict[str, int]:
        """Give the sums for whoever reads the task's XCom."""
        names = ("accepted", "matched", "missing", "orphans", "different", "listed", "fetched", "api_calls")
        return {name: sum(getattr(account, name) for account in self.accounts) for name in names}

    def lines(self) -> Iterator[str]:
        """Give one line per account for a log."""
        if not self.accounts:
            yield f"Day {self.day}: no campaign sent anything; there is nothing to compare."
        for account in self.accounts:
            yield f"Day {self.day}, {account.line()}"

    def table(self) -> Iterator[str]:
        """Give the figures of all accounts as a table for a log."""
        names = ("connection", "complete", "accepted", "matched", "missing", "different", "orphans", "still_open")
        cost = ("doubtful", "set_aside", "listed", "fetched", "api_calls")
        yield from log_table(
            f"Audit of {self.day}",
            [{name: getattr(account, name) for name in (*names, *cost)} for account in self.accounts],
        )

    def problem(self) -> str:
        """Say in one line per account and gap what is wrong and what to do about it; empty when clean."""
        said = [sentence for account in self.accounts for sentence in _sentences(self.day, account)]
        if not said:
            return ""
        figures = self.figures()
        head = ", ".join(f"{figures[name]:,} {name}" for name in ("missing", "different", "orphans"))
        rest = "" if self.is_complete else " The audit is incomplete."
        return "\n".join([f"Day {self.day} has {head}.{rest}", *said])


def _sentences(day: date, account: AccountAudit) -> Iterator[str]:
    where = f"Connection {account.connection}"
    if account.missing:
        yield (
            f"{where}: Twilio does not know {account.missing:,} messages that it accepted by the ledger, the first is "
            f"{account.first(Kind.MISSING)}. Look whether somebody deleted them at Twilio, or the connection means "
            "another account now."
        )
    if account.different:
        yield (
            f"{where}: of {account.different:,} messages Twilio knows more than the ledger, the first is "
            f"{account.first(Kind.DIFFERENT)}. Run `reconcile_messages` for {day} again (clear or backfill it, or "
            f"`twilio-campaigns reconcile --day {day}`), then this audit."
        )
    if account.orphans:
        yield (
            f"{where}: {account.orphans:,} messages look like a campaign's and have no row, the first is "
            f"{account.first(Kind.ORPHAN)}. Look them up in Twilio's message log: somebody may have had two texts, "
            "the ledger may have been restored, or something else uses a campaign's sender. Put what is explained into "
            "table stray_messages."
        )
    if account.failure:
        yield f"{where} could not be read whole: {account.failure}"
    if account.gaps:
        yield f"All SIDs: reconcile_audit_findings, audit_id {account.audit_id}."
