"""Metrics as data: declared once, taken as plain numbers, and written by prometheus-client.

A process declares its metrics in one `Declarations`; a scrape is a `Page` of them, which takes no
sample of anything else. `docs/metrics.md` is written from the same declarations.

The library is loaded with the first scrape: most runners are never scraped.
"""

import asyncio
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Literal, TypeVar

if TYPE_CHECKING:
    from prometheus_client import Metric as Family

LIMIT_S: Final = 4.0
"""Until a scrape is answered."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of a page: Prometheus' text format."""
AT_ONCE: Final = 100
"""Samples, or histograms, of which the library's objects are there at a time."""
_GZIP: Final = 16 + zlib.MAX_WBITS

Words = str | tuple[str, ...]
"""What a label says: its closed set of values, or what they mean; "" for a name."""


@dataclass(frozen=True)
class Metric:
    """One family. `name` as it is scraped; the unit is in it."""

    kind: Literal["gauge", "counter", "histogram"]
    name: str
    text: str
    labels: Mapping[str, Words]
    bounds: tuple[float, ...] = ()
    """Of a histogram: the upper bounds of its buckets, without the last."""


class Declarations(list[Metric]):
    """Every metric of one process, in the order in which it is shown."""

    def gauge(self, name: str, text: str, **labels: Words) -> Metric:
        return self._add(Metric("gauge", name, text, labels))

    def counter(self, name: str, text: str, **labels: Words) -> Metric:
        return self._add(Metric("counter", name, text, labels))

    def histogram(self, name: str, text: str, bounds: Sequence[float], **labels: Words) -> Metric:
        return self._add(Metric("histogram", name, text, labels, tuple(bounds)))

    def _add(self, metric: Metric) -> Metric:
        self.append(metric)
        return metric


class Histogram:
    """Counts by upper bound, on one thread. A value on a bound counts as below it."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


_Number = tuple[tuple[str, ...], float]
_Counts = tuple[tuple[str, ...], list[int], float]
_Row = TypeVar("_Row")


class Page:
    """One scrape of what is declared: numbers as they were when they were put."""

    def __init__(self, declared: Sequence[Metric]) -> None:
        self._declared = declared
        self._numbers: dict[str, list[_Number]] = {}
        self._histograms: dict[str, list[_Counts]] = {}
        for metric in declared:
            of_kind = self._histograms if metric.kind == "histogram" else self._numbers
            of_kind[metric.name] = []

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """A sample; `labels` in the order of the declaration."""
        _check(metric, labels)
        self._numbers[metric.name].append((labels, value))

    def put_histogram(self, metric: Metric, histogram: Histogram, *labels: str) -> None:
        """All samples of one histogram."""
        _check(metric, labels)
        taken = labels, histogram.counts.copy(), histogram.sum
        self._histograms[metric.name].append(taken)

    def families(self) -> "Iterator[tuple[Family, bool]]":
        """The families in the order of their declarations, also those without a sample.

        A family comes in parts, for the library takes a kilobyte for each sample: the first with
        True.
        """
        for metric in self._declared:
            for part, family in enumerate(self._parts(metric)):
                yield family, part == 0

    def _parts(self, metric: Metric) -> "Iterator[Family]":
        if metric.kind == "histogram":
            counts = self._histograms[metric.name]
            return (_histogram(metric, part) for part in _in_parts(counts))
        return (_plain(metric, part) for part in _in_parts(self._numbers[metric.name]))


def _in_parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """At least one, which may be empty."""
    for begin in range(0, max(1, len(rows)), AT_ONCE):
        yield rows[begin : begin + AT_ONCE]


def _plain(metric: Metric, numbers: Sequence[_Number]) -> "Family":
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    of_kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = of_kind(metric.name, metric.text, labels=tuple(metric.labels))
    for labels, value in numbers:
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, histograms: Sequence[_Counts]) -> "Family":
    from prometheus_client.metrics_core import HistogramMetricFamily
    from prometheus_client.utils import floatToGoString

    family = HistogramMetricFamily(metric.name, metric.text, labels=tuple(metric.labels))
    bounds = [floatToGoString(bound) for bound in (*metric.bounds, float("inf"))]
    for labels, counts, total in histograms:
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        family.add_metric(labels, buckets, total)
    return family


def _check(metric: Metric, labels: tuple[str, ...]) -> None:
    """The library would leave out what is too much, and what is too little."""
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has {len(metric.labels)} labels, got {labels}")


@dataclass(frozen=True, slots=True)
class Scrape:
    """The answer to one scrape."""

    body: bytes
    headers: Mapping[str, str]
    """What the body is."""


class Scrapes:
    """Answers the scrapes of one process: one page at a time is written, off the event loop.

    `take` reads the state, in one step on the event loop.
    """

    def __init__(self, take: Callable[[], Page]) -> None:
        self._take = take
        self._writing: asyncio.Task[bytes] | None = None

    async def answer(self, accept_encoding: str) -> Scrape:
        """A page, of `CONTENT_TYPE`, in gzip where that header of the request accepts it.

        Who asks while one is written gets that one. TimeoutError after `LIMIT_S`.
        """
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        async with asyncio.timeout(LIMIT_S):
            page = await asyncio.shield(self._writing)
            from prometheus_client.exposition import gzip_accepted  # the thread has loaded it

            if gzip_accepted(accept_encoding):
                return Scrape(page, headers | {"Content-Encoding": "gzip"})
            return Scrape(await asyncio.to_thread(zlib.decompress, page, _GZIP), headers)

    async def _write(self) -> bytes:
        return await asyncio.to_thread(written, self._take())


def written(page: Page) -> bytes:
    """The page in gzip, compressed as it is made: as text, that of 1,000 pools is 10 MB."""
    from prometheus_client import generate_latest

    gzip = zlib.compressobj(level=zlib.Z_BEST_SPEED, wbits=_GZIP)
    parts = []
    for family, first in page.families():
        text = generate_latest(_One(family))
        if not first:
            _help, _type, text = text.split(b"\n", 2)
        parts.append(gzip.compress(text))
    return b"".join((*parts, gzip.flush()))


class _One:
    """A collector of one family."""

    def __init__(self, family: "Family") -> None:
        self._family = family

    def collect(self) -> "Iterator[Family]":
        yield self._family
