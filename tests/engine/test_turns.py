"""Turns by rank, so many at a time, whoever gives up."""

import asyncio

import pytest

from twilio_campaigns.engine.turns import Turns


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
