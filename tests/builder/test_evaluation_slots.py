"""Places for evaluations: few at once, and none for ever."""

import trio
import trio.testing

from nixeryd.builder.evaluation_slots import PATIENCE, EvaluationSlots


async def test_few_have_a_place_and_the_others_wait(autojump_clock):
    places, here, most = EvaluationSlots(2), 0, 0

    async def take():
        nonlocal here, most
        async with places.one():
            here += 1
            most = max(most, here)
            await trio.sleep(1)
            here -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(take)
    assert most == 2
    assert trio.current_time() == 3


async def test_who_stays_long_keeps_nobody_out(autojump_clock):
    places = EvaluationSlots(2)
    began = []

    async def take(seconds):
        async with places.one():
            began.append(trio.current_time())
            await trio.sleep(seconds)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(take, 300)
    assert began == [0, 0, PATIENCE, PATIENCE, 2 * PATIENCE]


async def test_who_gives_up_leaves_no_trace(autojump_clock):
    places = EvaluationSlots(1)
    with trio.move_on_after(1):
        async with places.one():
            with trio.move_on_after(0.5):
                async with places.one():
                    raise AssertionError
            await trio.sleep_forever()
    async with places.one():
        assert trio.current_time() == 1
