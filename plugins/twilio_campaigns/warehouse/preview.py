"""What the freeze would decide about an audience, asked without writing to the warehouse."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.preview import Price, Tally
from twilio_campaigns.warehouse.audience import LEFT_OUT
from twilio_campaigns.warehouse.throughput import parts_ahead

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from twilio_campaigns.domain.audience import Recipient
    from twilio_campaigns.warehouse.audience import FreezePlan
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

_ASKED: Final = f"""
select to_number, reason
from unnest(%(numbers)s::text[]) as ranked(to_number)
cross join lateral (select case
{LEFT_OUT}
end as reason) as judged
where reason is not null
"""  # noqa: S608 - built of constants

# Of summaries, because the ledger has millions of such messages. The sender's own prices where it has some: a short
# code costs other than a long code. An MMS is billed as one. Twilio names the currency of a message long before its
# price, and summaries count parts by currency: where some are billed, the bills are for their share of the parts.
_PRICES: Final = """
with lately as (
    select s.run_key, s.sender = %(sender)s as is_own
    from summary_runs as s
    where s.connection = %(connection)s and s.channel = %(channel)s
      and exists (select from summary_days as d where d.run_key = s.run_key and d.tracked_on >= current_date - 30)
),
billed as (
    select c.country, c.price_unit, c.price, c.priced, l.is_own,
           case %(channel)s
               when 'mms' then c.priced
               else c.parts::numeric * c.priced / nullif(c.enqueued, 0)
           end as units
    from lately as l join summary_counts as c using (run_key)
    where c.priced > 0 and c.price_unit <> '' and c.country <> ''
)
select distinct on (country) country, price_unit,
       coalesce(sum(price) filter (where is_own) / nullif(sum(units) filter (where is_own), 0),
                sum(price) / nullif(sum(units), 0)) as amount
from billed
group by country, price_unit
order by country, coalesce(sum(priced) filter (where is_own), 0) desc, sum(priced) desc, price_unit
"""


class LedgerView:
    """The ledger as a preview sees it: read-only transactions, a short one for each question.

    :param warehouse: where the ledger is; a user that may only read will do, and a standby.
    :param campaign_id: the campaign.
    :param plan: what its freeze would write.
    :param run_key: the run, where it is one already: what it does itself is then left out of account.
    """

    def __init__(self, warehouse: Warehouse, campaign_id: str, plan: FreezePlan, run_key: str = "") -> None:
        self._warehouse = warehouse
        self._campaign_id = campaign_id
        self._plan = plan
        self._run_key = run_key

    def left_out(self, numbers: Collection[str | None]) -> dict[str | None, str]:
        """Tell which of these numbers a freeze would leave out now, and why."""
        asked = {
            "numbers": list(numbers),
            "scope": self._plan.scope,
            "campaign_id": self._campaign_id,
            "run_key": self._run_key,
            "repeat_after": self._plan.repeat_after,
        }
        with self._reading() as connection:
            return {row["to_number"]: row["reason"] for row in connection.execute(_ASKED, asked)}

    def parts_ahead(self) -> int:
        """Count the text segments that other runs still have to send through the same sender."""
        with self._reading() as connection:
            return parts_ahead(connection, self._plan.sender, besides=self._run_key)

    def prices(self) -> dict[str, Price]:
        """Give what a text segment cost on average in runs of the last 30 days, by country.

        As the runs' summaries say, which those who write to them keep up to date within seconds.
        """
        asked = {name: getattr(self._plan, name) for name in ("sender", "connection", "channel")}
        with self._reading() as connection:
            rows = connection.execute(_PRICES, asked).fetchall()
        return {row["country"]: Price(row["amount"], row["price_unit"]) for row in rows if row["amount"] is not None}

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._warehouse.transaction() as connection:
            connection.execute("set transaction read only")
            yield connection


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of the segment after the rules that need no other row.

    :param number: of the row in the segment, counted from 1.
    :param left_out: why the ledger leaves its number out, if it does.
    """

    number: int
    recipient: Recipient
    left_out: str | None


class Scratch:
    """Finds duplicates among any number of rows without holding them: in a file that nobody else sees.

    SQLite keeps it in the folder of temporary files, without a name, and it is gone when closed. The rows hold no
    number, only a hash of it that this object alone can make.
    """

    def __init__(self) -> None:
        self._secret = token_bytes(16)
        self._database = sqlite3.connect("")
        self._database.execute(
            "create table candidates (row_no integer primary key, number blob, customer_id text, country text, "
            "parts integer not null, skip_reason text, left_out text)"
        )

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Note rows."""
        self._database.executemany(
            "insert into candidates values (?, ?, ?, ?, ?, ?, ?)", (self._row(candidate) for candidate in candidates)
        )

    def judge(self) -> None:
        """Decide about every row, as the freeze does: the lowest customer id wins a number that several rows share."""
        self._database.execute(
            """
            create table judged as
            select row_no, country, parts,
                   coalesce(skip_reason,
                            case when row_number() over (partition by number, skip_reason is null
                                                         order by customer_id, row_no) > 1 then 'duplicate_number' end,
                            left_out) as reason
            from candidates
            """
        )

    def tallies(self) -> Iterator[Tally]:
        """Count the rows by fate and country."""
        counted = self._database.execute("select reason, country, count(*), sum(parts) from judged group by 1, 2")
        return (Tally(*row) for row in counted)

    def reasons(self, first: int) -> dict[int, str | None]:
        """Give the fates of the first rows, by their numbers."""
        return dict(self._database.execute("select row_no, reason from judged where row_no <= ?", (first,)))

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def _row(self, candidate: Candidate) -> tuple[Any, ...]:
        found = candidate.recipient
        number = blake2b((found.to_number or "").encode(), digest_size=16, key=self._secret).digest()
        return (
            candidate.number,
            number,
            found.customer_id,
            found.country,
            found.estimated_parts,
            found.skip_reason,
            candidate.left_out,
        )
