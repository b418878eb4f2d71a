import socket
from functools import partial

import httpcore
import pytest
import trio
import trio.testing

from nixeryd.upstream import UpstreamBroken
from nixeryd.upstream.network import AddressGuard
from nixeryd.upstream.trust import Locality


class Names(trio.abc.HostnameResolver):
    """Resolves each name to the next of its addresses, whatever the port."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = addresses

    async def getaddrinfo(self, host, port, *_):
        await trio.lowlevel.checkpoint()
        known = self.addresses[host.decode().partition(".")[0]]
        address = known.pop(0) if len(known) > 1 else known[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


@pytest.fixture
async def listener(nursery):
    """A port on loopback; `accepted` counts connections."""
    accepted = []

    async def note(stream):
        async with stream:
            accepted.append(stream)
            await stream.receive_some()

    listeners = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), note, 0)
    return listeners[0].socket.getsockname()[1], accepted


def resolve(**addresses: str) -> None:
    lists = {name: text.split() for name, text in addresses.items()}
    trio.socket.set_custom_hostname_resolver(Names(**lists))


async def test_the_upstreams_own_host_may_be_anywhere(listener):
    port, _ = listener
    resolve(registry="127.0.0.1")
    guard = AddressGuard("hub.test", "registry.test", port)
    stream = await guard.connect_tcp("registry.test", port)
    assert guard.home is Locality.LOOPBACK
    await stream.aclose()


async def test_another_port_of_the_upstreams_name_is_another_place(listener):
    """Whoever owns the name can let it resolve to this machine for a redirect."""
    port, accepted = listener
    guard = AddressGuard("hub.test", "registry.test", port + 1)
    guard.home = Locality.GLOBAL
    resolve(registry="127.0.0.1")
    with pytest.raises(UpstreamBroken, match="loopback"):
        await guard.connect_tcp("registry.test", port)
    await trio.testing.wait_all_tasks_blocked()
    assert (accepted, guard.home) == ([], Locality.GLOBAL)


@pytest.mark.parametrize("home", [Locality.GLOBAL, Locality.PRIVATE])
async def test_a_name_that_moves_here_does_not_take_others_along(listener, home):
    port, _ = listener
    guard = AddressGuard("hub.test", "registry.test", port)
    guard.home = home
    resolve(registry="127.0.0.1", cdn="127.0.0.1")
    await (await guard.connect_tcp("registry.test", port)).aclose()
    assert guard.home is Locality.GLOBAL
    with pytest.raises(UpstreamBroken, match="loopback"):
        await guard.connect_tcp("cdn.test", port)


async def test_another_host_may_be_where_the_upstream_is(listener):
    port, _ = listener
    guard = AddressGuard("hub.test", "registry.test", 5000)
    guard.home = Locality.LOOPBACK
    resolve(cdn="127.0.0.1")
    await (await guard.connect_tcp("cdn.test", port)).aclose()


@pytest.mark.parametrize("home", [None, Locality.GLOBAL, Locality.PRIVATE])
async def test_a_name_that_leads_inside_is_not_even_connected_to(listener, home):
    port, accepted = listener
    guard = AddressGuard("hub.test", "registry.test", 5000)
    guard.home = home
    resolve(cdn="127.0.0.1")
    with pytest.raises(UpstreamBroken, match=r"cdn\.test, which is a loopback address"):
        await guard.connect_tcp("cdn.test", port)
    await trio.testing.wait_all_tasks_blocked()
    assert accepted == []


async def test_a_name_that_changes_between_check_and_connect_is_caught(listener):
    port, _ = listener
    guard = AddressGuard("hub.test", "registry.test", 5000)
    guard.home = Locality.GLOBAL
    resolve(cdn="198.41.0.4 127.0.0.1")
    with pytest.raises(UpstreamBroken, match="loopback"):
        await guard.connect_tcp("cdn.test", port)


async def test_a_name_that_does_not_resolve_is_a_connection_error():
    class Nowhere(Names):
        async def getaddrinfo(self, *_):
            await trio.lowlevel.checkpoint()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    trio.socket.set_custom_hostname_resolver(Nowhere())
    guard = AddressGuard("hub.test", "registry.test", 5000)
    with pytest.raises(httpcore.ConnectError, match="not known"):
        await guard.connect_tcp("cdn.test", 80)


async def test_resolving_has_a_time_limit(autojump_clock):
    class Silent(Names):
        async def getaddrinfo(self, *_):
            await trio.sleep_forever()

    trio.socket.set_custom_hostname_resolver(Silent())
    guard = AddressGuard("hub.test", "registry.test", 5000)
    with pytest.raises(httpcore.ConnectTimeout):
        await guard.connect_tcp("cdn.test", 80, timeout=10)
    assert trio.current_time() == pytest.approx(10)
