import sys
from pathlib import Path

import pytest

from nixeryd.nix import python
from nixeryd.nix.python import find_python


def test_a_whole_python_is_found():
    found = find_python()
    assert found is not None
    assert found.library_name.endswith(f"python{found.version}")
    assert (Path(found.library) / "os.py").is_file()
    assert found.libraries.loader is not None
    assert not any("libtk" in path for path in found.libraries.files)


def test_the_python_that_runs_us_will_do(monkeypatch):
    monkeypatch.setattr(python, "_CANDIDATES", (f"{sys.base_prefix}/bin/python3",))
    found = find_python()
    assert found is not None
    assert found.version == f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize("candidate", ["/no/such/python3", "/usr/bin/env", "/bin/sh"])
def test_what_is_no_python_is_not_taken(candidate, monkeypatch):
    monkeypatch.setattr(python, "_CANDIDATES", (candidate,))
    assert find_python() is None


def test_a_fragment_is_not_taken(monkeypatch):
    monkeypatch.setattr(python, "_LANDMARKS", ("os.py", "no-such-module"))
    assert find_python() is None
