"""Sockets: real ones, in tmp_path and on loopback."""

import os
import socket
import stat

import pytest
import trio

from nixeryd.web.listen import Address, ListenError, open_tcp, open_unix


def names_of(listeners):
    return [listener.socket.getsockname()[:2] for listener in listeners]


async def close(listeners):
    for listener in listeners:
        await listener.aclose()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("localhost:0", "127.0.0.1:0"),
        ("0.0.0.0:65535", "0.0.0.0:65535"),
    ],
)
def test_an_address_is_an_ip_and_a_port(text, shown):
    assert str(Address.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5000",
        "5000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:5000\n",
        "127.0.0.1:\uff15000",
        "::1:5000",
        "[127.0.0.1]:5000",
        "[localhost]:5000",
        "[::1]",
        "example.org:5000",
        "http://127.0.0.1:5000",
    ],
)
def test_anything_else_is_explained(text):
    with pytest.raises(ListenError, match="expected an IP address and a port"):
        Address.parse(text)


async def test_a_connection_can_be_made():
    (listener,) = open_tcp(["127.0.0.1:0"])
    async with (
        listener,
        await trio.open_tcp_stream(*names_of([listener])[0]),
        await listener.accept() as stream,
    ):
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not stream.socket.get_inheritable()


async def test_both_families_listen_on_one_port():
    (first,) = open_tcp(["127.0.0.1:0"])
    port = names_of([first])[0][1]
    (second,) = open_tcp([f"[::1]:{port}"])
    assert names_of([second]) == [("::1", port)]
    await close([first, second])


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
async def test_others_are_kept_out_unless_asked_in(address):
    with pytest.raises(ListenError, match="unless --allow-remote"):
        open_tcp([address])


async def test_others_are_let_in_when_asked():
    listeners = open_tcp(["0.0.0.0:0"], allow_remote=True)
    assert names_of(listeners)[0][0] == "0.0.0.0"
    await close(listeners)


async def test_a_taken_port_is_named_with_what_to_type():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            open_tcp([f"127.0.0.1:{port}"], option="--mirror-listen")
    other = (port + 50) % 65536
    assert f"port {port} is taken" in str(caught.value)
    assert f"--mirror-listen 127.0.0.1:{other}" in str(caught.value)


async def test_one_failure_closes_what_was_open():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (probe,) = open_tcp(["127.0.0.1:0"])
        ((_, free),) = names_of([probe])
        await probe.aclose()
        with pytest.raises(ListenError):
            open_tcp([f"127.0.0.1:{free}", f"127.0.0.1:{taken.getsockname()[1]}"])
        await close(open_tcp([f"127.0.0.1:{free}"]))


async def test_airplay_is_blamed_on_a_mac_only():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 5000))
        taken.listen()
        with pytest.raises(ListenError, match=r"AirPlay.*--listen 127\.0\.0\.1:5050"):
            open_tcp(["127.0.0.1:5000"], platform="darwin")
        with pytest.raises(ListenError, match="another registry"):
            open_tcp(["127.0.0.1:5000"], platform="linux")


async def test_an_address_of_another_machine_is_told():
    with pytest.raises(ListenError, match="no address of this machine"):
        open_tcp(["192.0.2.1:0"], allow_remote=True)


async def test_the_admin_socket_is_its_owners_alone(tmp_path):
    path = tmp_path / "admin.sock"
    with open_unix(path) as listener:
        async with listener:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            async with await trio.open_unix_socket(path):
                pass
    assert not path.exists()


async def test_a_socket_file_left_behind_is_replaced(tmp_path):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with open_unix(path) as listener:
        async with listener, await trio.open_unix_socket(path):
            pass


async def test_a_living_daemons_socket_is_left_alone(tmp_path):
    path = tmp_path / "admin.sock"
    with (
        open_unix(path),
        pytest.raises(ListenError, match="another daemon answers"),
        open_unix(path),
    ):
        pass
    assert not path.exists()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="no socket"), open_unix(path):
        pass
    assert path.read_text() == "precious"


async def test_a_link_to_a_socket_is_left_alone(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "real"))
    path = tmp_path / "admin.sock"
    path.symlink_to("real")
    with pytest.raises(ListenError, match="no socket"), open_unix(path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
async def test_another_users_socket_is_left_alone(tmp_path):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    os.chown(path, 12345, 12345)
    with pytest.raises(ListenError, match="another user"), open_unix(path):
        pass
    assert path.exists()


async def test_the_successors_socket_is_not_removed(tmp_path):
    path = tmp_path / "admin.sock"
    with open_unix(path):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert path.is_socket()


async def test_a_path_too_long_or_nowhere_is_explained(tmp_path):
    for path in (tmp_path / ("x" * 200), tmp_path / "no" / "where"):
        with pytest.raises(ListenError, match="cannot listen on"), open_unix(path):
            pass
