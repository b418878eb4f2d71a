import shutil
import subprocess
import sys

import pytest

from nixeryd.runtime.offline import Offline, has_network


def test_it_is_told_and_told_otherwise():
    offline = Offline(has_network=lambda: True)
    assert not offline.on
    assert offline.why == ""
    offline.told = True
    assert offline.on
    assert offline.why == "told to be offline"
    offline.told = False
    assert not offline.on


def test_no_network_is_noticed_when_it_goes_and_when_it_comes_back():
    networks = [False]
    offline = Offline(has_network=lambda: networks[0])
    assert offline.on
    assert "no network" in offline.why
    networks[0] = True
    assert not offline.on


def test_a_proxy_is_a_network():
    assert has_network({"HTTPS_PROXY": "http://localhost:1"})


_ASK = "from nixeryd.runtime.offline import has_network; print(has_network({}))"
_UP = "ip link set lo up"
_CASES = {
    "nothing": (_UP, "False"),
    "a default route": (f"{_UP}; ip route add default dev lo", "True"),
    "a local network alone": (f"{_UP}; ip route add 10.0.0.0/8 dev lo", "False"),
    "a default route by IPv6": (
        f"{_UP}; ip addr add fd00::7/64 dev lo nodad; ip -6 route add default dev lo",
        "True",
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_the_kernel_is_asked_for_a_route(case):
    prepare, expected = _CASES[case]
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("needs unshare and ip")
    script = f'{prepare}; exec "$@"'
    ask = [sys.executable, "-c", _ASK]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-euc", script, "sh", *ask],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr or "not permitted" in done.stderr:
        pytest.skip("may not make a network namespace")
    assert done.stdout.strip() == expected, done.stderr
