"""What a daemon takes of the machine, read from /proc and from its own metrics."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from tests.e2e.serving import Daemon


@dataclass(frozen=True, slots=True)
class Taken:
    """Counts; `memory` is what is resident, in bytes."""

    memory: int
    files: int
    threads: int
    processes: int
    tasks: int

    def __str__(self) -> str:
        counts = asdict(self) | {"memory": f"{self.memory / 1e6:.1f} MB"}
        return ", ".join(f"{name} {count}" for name, count in counts.items())


def count_processes(pid: int) -> int:
    """Count the processes below one, at any depth."""
    found = 0
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = file.read_text().split()
        except OSError:
            continue  # the thread has ended
        found += len(below) + sum(count_processes(int(child)) for child in below)
    return found


def count_children(pid: int) -> int:
    """Count the processes that one has started itself."""
    found = 0
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += len(file.read_text().split())
        except OSError:
            continue
    return found


def count_files(pid: int) -> int:
    """Count the files that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory_of(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def metric(daemon: Daemon, name: str) -> int:
    """Read one of the daemon's metrics."""
    text = daemon.ask("/metrics").body.decode()
    return int(float(re.search(rf"(?m)^{name} (\S+)$", text)[1]))


def take(daemon: Daemon) -> Taken:
    """Measure a daemon; the question itself counts, always the same."""
    pid = daemon.process.pid
    tasks = metric(daemon, "nixeryd_tasks")
    return Taken(
        memory_of(pid),
        count_files(pid),
        len(list(Path(f"/proc/{pid}/task").iterdir())),
        count_processes(pid),
        tasks,
    )


async def take_when(
    daemon: Daemon, is_good: Callable[[Taken], bool], patience: float = 60
) -> Taken:
    """Measure until it is good, or patience is at its end."""
    deadline = trio.current_time() + patience
    while True:
        taken = await trio.to_thread.run_sync(take, daemon)
        if is_good(taken) or trio.current_time() > deadline:
            return taken
        await trio.sleep(0.2)


def leaks(before: Taken, after: Taken) -> list[str]:
    """Name what there is more of than before; memory is not looked at.

    Threads stay for a while and are used again: as many as trio has at most.
    """
    names = ("files", "processes", "tasks")
    return [
        f"{name}: {getattr(before, name)}, then {getattr(after, name)}"
        for name in names
        if getattr(after, name) > getattr(before, name)
    ]
