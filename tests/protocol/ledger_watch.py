"""Looks at the whole ledger after every step and says what must never be (PROTOCOLS.md §1, invariants)."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from protocol.twilio_in_memory import facts_of

if TYPE_CHECKING:
    from uuid import UUID

#: PROTOCOLS.md: these, and no others.
TRANSITIONS = {
    "planned": {"claimed", "skipped", "too_late"},
    "claimed": {"accepted", "enqueue_failed", "planned", "unknown"},
    "unknown": {"accepted", "enqueue_failed", "planned"},
}
#: Somebody sends on purpose what came too late; the one way back.
SENT_LATE = {"too_late": {"planned"}}
IN_DOUBT = {"claimed", "unknown"}
NOT_FINAL = {"planned", "claimed", "unknown"}

_ROWS = """
select m.message_key, m.run_key, m.to_number, m.send_state, m.message_sid, m.claim_id, m.claimed_at, m.send_before,
       m.attempts, m.status, m.status_code, r.state as run_state, m.campaign_id, m.batch_no
from messages as m join campaign_runs as r using (run_key)
"""


class LedgerWatch:
    """Compares the ledger with the step before and with what Twilio really has.

    :ivar rows: the ledger as it was last seen, by key.
    """

    def __init__(self, warehouse, twilio):
        self._warehouse, self._twilio, self._clock = warehouse, twilio, twilio.clock
        self.rows: dict[UUID, dict] = {}
        self.claims: list[tuple[str, object]] = []
        self._proven: dict[UUID, dict] = defaultdict(dict)
        self.is_intact = True

    def look(self, told=(), *, applied=False, allows=None):
        """Read everything and check it; a failure leaves `is_intact` false.

        :param told: observations that the step was given.
        :param applied: whether they were applied to all rows that have their SIDs, not only to those that got them.
        :param allows: transitions beside the usual ones.
        """
        self.is_intact = False
        before = self.rows
        with self._warehouse.transaction() as connection:
            self.rows = {row["message_key"]: row for row in connection.execute(_ROWS)}
            strays = {row["message_sid"] for row in connection.execute("select message_sid from stray_messages")}
            events = connection.execute("select * from campaign_events").fetchall()
        self._check_transitions(before, allows or {})
        self._note_claims(before)
        self._check_sids(strays)
        self._note_proof(before, told, applied=applied)
        self._check_events(events)
        self._check_finished_runs()
        self.is_intact = True

    def in_state(self, *states):
        return [row for row in self.rows.values() if row["send_state"] in states]

    def _check_transitions(self, before, allows):
        assert before.keys() <= self.rows.keys(), "a row vanished"
        for key, row in self.rows.items():
            was, state = before.get(key), row["send_state"]
            if was is None:
                assert state in {"planned", "skipped"}
                continue
            if was["send_state"] == state:
                assert was["message_sid"] == row["message_sid"], "a row changed its SID"
                continue
            known = TRANSITIONS.get(was["send_state"], set()) | allows.get(was["send_state"], set())
            assert state in known, f"{was['send_state']} became {state}"
            self._check_leaving_planned(was, row, is_sent_late=allows == SENT_LATE)

    def _check_leaving_planned(self, was, row, *, is_sent_late):
        if row["send_state"] == "claimed":
            assert (was["run_state"], row["attempts"]) == ("sending", was["attempts"] + 1)
            assert row["claimed_at"] < row["send_before"]
            assert row["claim_id"] is not None
            assert row["claim_id"] != was["claim_id"]
        # Who sends late gives up whom others text meanwhile, whatever the deadline.
        if row["send_state"] == "too_late" and not is_sent_late:
            assert self._clock.at(row["send_before"]) <= self._clock.now(), "given up before its time"

    def _note_claims(self, before):
        for key, row in self.rows.items():
            if row["claimed_at"] and (key not in before or before[key]["claim_id"] != row["claim_id"]):
                self.claims.append((row["to_number"], self._clock.at(row["claimed_at"])))

    def _check_sids(self, strays):
        created = self._twilio.by_sid()
        owned = {}
        for key, row in self.rows.items():
            assert (row["send_state"] == "accepted") == (row["message_sid"] is not None)
            if row["message_sid"]:
                assert row["message_sid"] not in owned, "one SID, two rows"
                owned[row["message_sid"]] = key
                assert created[row["message_sid"]].key == key, "a row has a message that it did not ask for"
        assert owned.keys().isdisjoint(strays)
        ours = [message for message in created.values() if message.key is not None]
        texted = Counter((self.rows[message.key]["run_key"], message.to) for message in ours)
        assert max(texted.values(), default=1) == 1, "somebody was texted twice"
        for message in ours:
            if message.sid not in owned and message.sid not in strays:
                row = self.rows[message.key]
                is_given_up = row["send_state"] == "enqueue_failed" and row["status_code"] is None
                assert row["send_state"] in IN_DOUBT or is_given_up, f"forgotten: its row is {row['send_state']}"

    def _note_proof(self, before, told, *, applied):
        keys = {row["message_sid"]: key for key, row in self.rows.items() if row["message_sid"]}
        for observation in told:
            key = keys.get(observation.sid)
            if key is None or not (applied or before[key]["message_sid"] is None):
                continue
            for status, (at, code) in facts_of(observation).items():
                proven = self._proven[key].setdefault(status, (self._clock.at(at), code))
                codes = [known for known in (proven[1], code) if known is not None]
                self._proven[key][status] = (min(proven[0], self._clock.at(at)), min(codes, default=None))

    def _check_events(self, events):
        written = defaultdict(dict)
        for event in events:
            assert event["status"] not in written[event["message_key"]]
            at = self._clock.at(event["occurred_at"])
            written[event["message_key"]][event["status"]] = (at, event["status_code"])
        for key, row in self.rows.items():
            if row["send_state"] == "enqueue_failed":
                assert set(written.pop(key)) == {"enqueue_failed"}
        assert written == {key: facts for key, facts in self._proven.items() if facts}
        for key, facts in self._proven.items():
            assert self.rows[key]["status"] == max(facts, key=lambda status: status.rank, default=None)

    def _check_finished_runs(self):
        for row in self.rows.values():
            assert row["run_state"] != "done" or row["send_state"] not in NOT_FINAL, "a finished run is not finished"
