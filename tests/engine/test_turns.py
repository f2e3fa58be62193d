"""Turns by rank, so many at a time, whoever gives up."""

import asyncio
import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twilio_campaigns.engine.turns import Backlog, Turns


def test_the_least_rank_goes_first_and_equals_as_they_came():
    async def play():
        turns, order = Turns(1), []

        async def take(name, rank):
            async with turns.turn(rank):
                order.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(
            *(take(name, rank) for name, rank in (("first", 9), ("c", 2), ("a", 0), ("d", 2), ("b", 1)))
        )
        return order

    assert asyncio.run(play()) == ["first", "a", "b", "c", "d"]


def test_no_more_are_in_than_may_be_and_all_get_their_turn():
    async def play():
        turns, inside, most, done = Turns(3), 0, 0, 0

        async def take(rank):
            nonlocal inside, most, done
            async with turns.turn(rank):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1
                done += 1

        await asyncio.gather(*(take(number % 5) for number in range(50)))
        return most, done

    assert asyncio.run(play()) == (3, 50)


def test_who_gives_up_waiting_takes_nobodys_turn():
    async def play():
        turns, order = Turns(1), []

        async def take(name):
            async with turns.turn():
                order.append(name)
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(take(name)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0.012)  # c is called, and gives up in the same moment
        tasks[2].cancel()
        await asyncio.wait(tasks)
        await take("e")
        return order

    order = asyncio.run(play())
    assert order[0] == "a"
    assert order[-2:] == ["d", "e"]
    assert "b" not in order


def test_a_turn_ends_with_an_error_too():
    async def play():
        turns = Turns(1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with turns.turn():
                    _ = 1 / 0
        async with turns.turn():
            return True

    assert asyncio.run(asyncio.wait_for(play(), 5))


class TestBacklog:
    """Where many wait, several are taken at once; each learns what became of its own."""

    @staticmethod
    def play(pieces, *, workers=2, at_once=2, fails=frozenset()):
        taken, outcomes = [], {}

        async def work(some):
            taken.append(list(some))
            await asyncio.sleep(0.001)
            if not fails.isdisjoint(some):
                raise ValueError(f"one of {some} failed")

        async def put(backlog, piece, rank):
            try:
                await backlog.put(piece, rank)
            except ValueError as error:
                outcomes[piece] = str(error)
            else:
                outcomes[piece] = "done"

        async def main():
            backlog = Backlog(Turns(workers), work, at_once)
            await asyncio.gather(*(put(backlog, piece, rank) for piece, rank in pieces))

        asyncio.run(main())
        return taken, outcomes

    def test_what_comes_first_is_taken_alone_and_what_waits_by_rank_and_together(self):
        taken, outcomes = self.play([("a", 5), ("b", 5), ("f", 9), ("c", 1), ("e", 3), ("d", 2)])

        assert taken == [["a"], ["b"], ["c", "d"], ["e"], ["f"]]
        assert outcomes == dict.fromkeys("abcdef", "done")

    def test_one_that_fails_is_the_failure_of_those_that_were_taken_with_it(self):
        _, outcomes = self.play([("a", 0), ("b", 0), ("c", 1), ("d", 2), ("e", 3), ("f", 4)], fails={"d"})

        assert {piece for piece, outcome in outcomes.items() if outcome != "done"} == {"c", "d"}

    @given(
        pieces=st.lists(st.integers(0, 4), max_size=30),
        workers=st.integers(1, 4),
        at_once=st.integers(1, 4),
        fails=st.sets(st.integers(0, 29), max_size=3),
    )
    @settings(max_examples=50, deadline=None)
    def test_every_piece_is_worked_on_once_and_never_too_many_together(self, pieces, workers, at_once, fails):
        taken, outcomes = self.play(list(enumerate(pieces)), workers=workers, at_once=at_once, fails=fails)

        assert sorted(piece for some in taken for piece in some) == list(range(len(pieces)))
        assert all(1 <= len(some) <= at_once for some in taken)
        assert sorted(outcomes) == list(range(len(pieces)))
        failed = {piece for some in taken if not fails.isdisjoint(some) for piece in some}
        assert {piece for piece, outcome in outcomes.items() if outcome != "done"} == failed

    @pytest.mark.parametrize("is_taken", [False, True])
    def test_who_gives_up_leaves_nobody_behind_and_no_complaint(self, is_taken, caplog):
        async def main():
            worked = []

            async def work(some):
                worked.extend(some)
                await asyncio.sleep(0.01)
                if "d" in some:
                    raise ValueError("nobody waits for it any more")

            # Of three that wait two are taken by whoever comes first, so that one's piece is in another's hands.
            backlog = Backlog(Turns(1), work, 2)
            tasks = [
                asyncio.create_task(backlog.put(piece, rank)) for piece, rank in zip("abcd", (0, 1, 3, 2), strict=True)
            ]
            await asyncio.sleep(0.015 if is_taken else 0)
            tasks[3].cancel()
            ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
            return worked, [type(end) for end in ends]

        worked, ends = asyncio.run(main())
        gc.collect()

        # Taken together with one that failed, "b" fails too; had nobody taken that one, it would not.
        with_it = ValueError if is_taken else type(None)
        assert ends == [type(None), with_it, type(None), asyncio.CancelledError]
        assert ("d" in worked) is is_taken
        assert "never retrieved" not in caplog.text

    def test_who_works_on_what_came_in_the_last_moment_still_waits_for_its_own(self):
        async def main():
            worked = []

            async def work(some):
                worked.extend(some)
                await asyncio.sleep(0.001)

            backlog = Backlog(Turns(1), work, 1)

            async def put_again_as_soon_as_it_is_done():
                await backlog.put("a", 0)
                await backlog.put("c", 0)

            await asyncio.wait_for(asyncio.gather(put_again_as_soon_as_it_is_done(), backlog.put("b", 5)), 5)
            return worked

        assert asyncio.run(main()) == ["a", "c", "b"]
