"""Leases: how long what is counted on is left alone."""

import threading

from nixeryd.images.digests import Digest
from nixeryd.store.leases import PULL, Leases

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_lease_ends_with_its_block():
    leases = Leases()
    with leases.open() as one, leases.open() as other:
        one.add(A)
        other.add(A)
        other.add(B)
        assert leases.current() == {A, B}
    assert leases.current() == set()


def test_what_is_asked_for_is_leased_for_a_while_from_the_last_time():
    clock = Clock()
    leases = Leases(clock)
    leases.renew(A)
    clock.now = 1
    leases.renew(B)
    clock.now = 2
    leases.renew(A)
    clock.now = PULL + 1
    assert leases.current() == {A}
    clock.now = PULL + 2
    assert leases.current() == set()


def test_what_has_ended_takes_no_memory_though_nobody_looks():
    clock = Clock()
    leases = Leases(clock)
    for number in range(1000):
        clock.now += PULL / 10
        leases.renew(Digest.of(b"%d" % number))
    assert len(leases._until) <= 11


def test_threads_may_add_while_others_look():
    leases = Leases()
    digests = [Digest.of(b"%d" % number) for number in range(5000)]

    with leases.open() as lease:
        adding = threading.Thread(target=lambda: [lease.add(one) for one in digests])
        adding.start()
        while adding.is_alive():
            assert leases.current() <= set(digests)
        adding.join()
        assert leases.current() == set(digests)
