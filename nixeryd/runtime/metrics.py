"""Metrics in Prometheus' text format: gauges made on request, counters and histograms.

Counters are module-level values, as in Prometheus' client libraries: whoever does the
work counts it, without the composition root passing a registry to everybody. They
start at 0 with the process. Names follow Prometheus' conventions: base units (seconds,
bytes), and `_total` for counters.

https://prometheus.io/docs/practices/naming/ and
https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value that goes up and down; a sample is its labels and the value, if known."""

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float | None]]

    def render(self) -> Iterator[str]:
        """Return the lines; none without a known sample."""
        known = [(on, value) for on, value in self.samples if value is not None]
        if known:
            yield from _head(self.name, self.help, "gauge")
        for on, value in known:
            yield f"{self.name}{_labels(on)} {float(value)}"


def gauge(name: str, text: str, value: float) -> Gauge:
    """Return a gauge with one sample and no labels."""
    return Gauge(name, text, [({}, value)])


@dataclass(slots=True)
class Counter:
    """A number that only rises, for each combination of label values.

    Every label has few values: each combination is a time series.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    _values: dict[tuple[str, ...], float] = field(default_factory=dict)

    def inc(self, *values: str, by: float = 1) -> None:
        """Add to the count of these label values, in the order of `labels`."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}")
        self._values[values] = self._values.get(values, 0) + by

    def value(self, *values: str) -> float:
        """Return the count of these label values."""
        return self._values.get(values, 0)

    def render(self) -> Iterator[str]:
        """Return the lines; a counter without labels is there from the start."""
        yield from _head(self.name, self.help, "counter")
        found = self._values or ({} if self.labels else {(): 0.0})
        for values, count in sorted(found.items()):
            on = dict(zip(self.labels, values, strict=True))
            yield f"{self.name}{_labels(on)} {float(count)}"


@dataclass(slots=True)
class Histogram:
    """How observed values are distributed: a cumulative count for each upper bound."""

    name: str
    help: str
    bounds: tuple[float, ...]
    _counts: list[int] = field(init=False)
    _sum: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self._sum += value

    def render(self) -> Iterator[str]:
        """Return the lines."""
        yield from _head(self.name, self.help, "histogram")
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{self.name}_bucket{{le="{bound}"}} {total}'
        yield f"{self.name}_sum {self._sum}"
        yield f"{self.name}_count {total}"


REQUESTS: Final = Counter(
    "nixeryd_requests_total",
    "Answered HTTP requests by kind and status.",
    ("kind", "status"),
)
BLOB_BYTES: Final = Counter(
    "nixeryd_blob_sent_bytes_total",
    "Bytes of blobs sent to clients: from the cache, from an upstream while they"
    " arrive, or made from the Nix store.",
    ("origin",),
)
UPSTREAM_BYTES: Final = Counter(
    "nixeryd_upstream_received_bytes_total",
    "Bytes of blobs received from other registries.",
    ("upstream",),
)
BUILDS: Final = Counter(
    "nixeryd_builds_total",
    "Builds of images by outcome: built, cached (evaluated to an image that is here),"
    " failed.",
    ("outcome",),
)
BUILD_SECONDS: Final = Histogram(
    "nixeryd_build_duration_seconds",
    "How long builds took that were neither cached nor failed.",
    (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
LAYERS: Final = Counter(
    "nixeryd_layers_total",
    "Layers that builds needed: packed anew, or found in the cache.",
    ("outcome",),
)
EVICTED_BYTES: Final = Counter(
    "nixeryd_evicted_bytes_total", "Bytes that evictions and removals freed."
)
COUNTERS: Final[tuple[Counter | Histogram, ...]] = (
    REQUESTS,
    BLOB_BYTES,
    UPSTREAM_BYTES,
    BUILDS,
    BUILD_SECONDS,
    LAYERS,
    EVICTED_BYTES,
)


def render_metrics(metrics: Iterable[Gauge | Counter | Histogram]) -> str:
    """Render metrics as a text that Prometheus reads."""
    return "".join(line + "\n" for each in metrics for line in each.render())


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(v)}"' for name, v in labels.items()) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
