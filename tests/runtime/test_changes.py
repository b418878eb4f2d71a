import trio
import trio.testing

from nixeryd.runtime.changes import Changes


async def test_who_waits_is_woken_by_what_is_new(nursery):
    changes = Changes()
    seen = []

    async def watch():
        version = 0
        while len(seen) < 2:
            await changes.wait(version)
            version = changes.version
            seen.append(version)

    nursery.start_soon(watch)
    await trio.testing.wait_all_tasks_blocked()
    changes.bump()
    changes.bump()
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [2], "what came together is seen together"
    changes.bump()
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [2, 3]


async def test_what_is_already_new_is_not_waited_for():
    changes = Changes()
    changes.bump()
    await changes.wait(0)


async def test_the_end_lets_all_go(nursery):
    changes = Changes()
    nursery.start_soon(changes.wait, 10)
    nursery.start_soon(changes.wait, 0)
    await trio.testing.wait_all_tasks_blocked()
    changes.close()
    await changes.wait(10)
    assert changes.is_closed
