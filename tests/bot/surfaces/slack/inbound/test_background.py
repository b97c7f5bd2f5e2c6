"""What is done after an acknowledgement waits until a burst is over, and begins without crowding out what still comes."""

import asyncio

from bot.surfaces.slack.inbound.background import Calm


async def test_after_a_burst_one_answer_begins_at_each_turn_of_the_loop() -> None:
    calm, begun = Calm(), list[int]()

    async def answer(number: int) -> None:
        await calm.wait()
        begun.append(number)

    calm.disturbed()
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(answer(number))
        async with asyncio.timeout(60):
            while len(begun) < 50:
                before = len(begun)
                await asyncio.sleep(0)
                assert len(begun) - before <= 1
    assert begun == list(range(50)), "first come, first answered"


async def test_what_comes_after_a_pause_of_the_burst_holds_up_the_answers_that_have_not_begun() -> None:
    calm, begun = Calm(gap=600), list[int]()

    async def answer(number: int) -> None:
        await calm.wait()
        begun.append(number)
        calm.disturbed()  # the rest of the burst comes

    answers = [asyncio.create_task(answer(number)) for number in range(5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(begun) <= 2, "the one whose turn it was, and the one that had its turn already"
    for each in answers:
        each.cancel()
    await asyncio.gather(*answers, return_exceptions=True)
