"""Who may post next: the oldest chunk, and nobody's permit gets lost."""

import asyncio

from twilio_campaigns.engine.permits import Permits


def test_the_lowest_rank_is_served_first_however_long_others_have_waited():
    async def serve():
        permits, order = Permits(1), []
        await permits.acquire(0)

        async def wait(rank):
            await permits.acquire(rank)
            order.append(rank)
            permits.release()

        waiting = [asyncio.create_task(wait(rank)) for rank in (3, 1, 2, 1)]
        await asyncio.sleep(0)
        permits.release()
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(serve()) == [1, 1, 2, 3]


def test_no_more_are_served_than_there_are_permits():
    async def serve():
        permits = Permits(2)
        waiting = [asyncio.create_task(permits.acquire(0)) for _ in range(3)]
        await asyncio.sleep(0)
        return [task.done() for task in waiting], waiting[2].cancel()

    done, _ = asyncio.run(serve())
    assert done == [True, True, False]


def test_a_permit_given_to_somebody_who_is_cancelled_goes_to_the_next():
    async def serve():
        permits = Permits(1)
        await permits.acquire(0)
        cancelled, next_one = (asyncio.create_task(permits.acquire(rank)) for rank in (0, 1))
        await asyncio.sleep(0)
        permits.release()  # served, but not told yet
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await asyncio.wait_for(next_one, 1)
        return cancelled.cancelled()

    assert asyncio.run(serve())


def test_who_is_cancelled_while_waiting_is_passed_over():
    async def serve():
        permits = Permits(1)
        await permits.acquire(0)
        cancelled, next_one = (asyncio.create_task(permits.acquire(rank)) for rank in (0, 1))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        permits.release()
        await asyncio.wait_for(next_one, 1)

    asyncio.run(serve())
