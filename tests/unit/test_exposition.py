"""What is taken is what a scraper reads, and no scrape holds up the loop."""

import asyncio
import gzip
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families

from fakes.waiting import eventually
from paddock import exposition
from paddock.exposition import (
    AT_ONCE,
    CONTENT_TYPE,
    Declarations,
    Histogram,
    Metric,
    Page,
    Scrapes,
    written,
)

DECLARED = Declarations()
HEAT = DECLARED.gauge("heat_celsius", "How warm it is.\nA \\ in it.", room="its name")
STEPS = DECLARED.counter("steps_total", "Steps.")
WAIT = DECLARED.histogram("wait_seconds", "Waits.", (0.5, 1, 10), room="its name")


def text(page: Page) -> str:
    return gzip.decompress(written(page)).decode()


def families(page: Page) -> list[Family]:
    return list(text_string_to_metric_families(text(page)))


def read(page: Page) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(page)
        for sample in family.samples
    }


@pytest.mark.parametrize("room", ["hall", "", 'the "red" one', "back\\slash", "two\nlines", "café"])
@pytest.mark.parametrize("value", [0, 3, 0.25, -1.5, 1e-9, 12345678901234.5, float("inf")])
def test_what_is_put_is_what_is_read(room: str, value: float) -> None:
    page = Page(DECLARED)
    page.put(HEAT, value, room)
    assert read(page) == {("heat_celsius", frozenset({("room", room)})): value}


def test_a_histogram_is_cumulative_and_a_value_on_a_bound_is_below_it() -> None:
    histogram, page = Histogram(WAIT.bounds), Page(DECLARED)
    for seconds in (0.5, 0.7, 99.0):
        histogram.observe(seconds)
    page.put_histogram(WAIT, histogram, "hall")
    histogram.observe(0.1)
    found = read(page)
    room = ("room", "hall")
    buckets = {
        le: found["wait_seconds_bucket", frozenset({room, ("le", le)})]
        for le in ("0.5", "1.0", "10.0", "+Inf")
    }
    assert buckets == {"0.5": 1, "1.0": 2, "10.0": 2, "+Inf": 3}, "as it was when it was put"
    assert found["wait_seconds_count", frozenset({room})] == 3
    assert found["wait_seconds_sum", frozenset({room})] == pytest.approx(100.2)


def test_every_metric_has_its_head_with_and_without_samples() -> None:
    page = Page(DECLARED)
    page.put(STEPS, 1)
    assert [(f.name, f.type, f.documentation) for f in families(page)] == [
        ("heat_celsius", "gauge", "How warm it is.\nA \\ in it."),
        ("steps", "counter", "Steps."),
        ("wait_seconds", "histogram", "Waits."),
    ]
    assert ("steps_total", frozenset()) in read(page)


@pytest.mark.parametrize("rooms", [1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE])
def test_a_family_has_all_its_samples_and_one_head_however_many_they_are(rooms: int) -> None:
    page, histogram = Page(DECLARED), Histogram(WAIT.bounds)
    for room in range(rooms):
        page.put(HEAT, room, f"room-{room}")
        page.put_histogram(WAIT, histogram, f"room-{room}")
    found = read(page)
    assert [
        found["heat_celsius", frozenset({("room", f"room-{room}")})] for room in range(rooms)
    ] == list(range(rooms))
    assert len(found) == rooms * (1 + len(WAIT.bounds) + 3)
    assert (text(page).count("# HELP "), text(page).count("# TYPE ")) == (3, 3)


def test_what_is_not_declared_or_has_other_labels_is_refused() -> None:
    page = Page(DECLARED)
    with pytest.raises(KeyError):
        page.put(Metric("gauge", "stray", "", {}), 1)
    with pytest.raises(ValueError, match="heat_celsius has 1 labels"):
        page.put(HEAT, 1, "hall", "again")
    with pytest.raises(ValueError, match="wait_seconds has 1 labels"):
        page.put_histogram(WAIT, Histogram(WAIT.bounds))


def test_a_page_is_of_the_type_that_the_library_writes() -> None:
    assert CONTENT_TYPE == CONTENT_TYPE_PLAIN_0_0_4


class Held(Page):
    """A page that is not written before it may be; all of them share who is at it."""

    may = threading.Event()
    writers: list[threading.Thread]
    most = 0

    def families(self) -> Iterator[tuple[Family, bool]]:
        self.writers.append(threading.current_thread())
        Held.most = max(Held.most, len(self.writers))
        assert self.may.wait(60)
        self.writers.pop()
        return super().families()


@pytest.fixture
def held() -> Iterator[type[Held]]:
    Held.may, Held.writers, Held.most = threading.Event(), [], 0
    yield Held
    Held.may.set()


async def test_scrapes_share_a_page_and_no_two_pages_are_written_at_once(
    held: type[Held],
) -> None:
    taken = []

    def take() -> Page:
        taken.append(threading.current_thread())
        page = held(DECLARED)
        page.put(STEPS, len(taken))
        return page

    scrapes = Scrapes(take)
    asked = [asyncio.create_task(scrapes.answer("gzip")) for _ in range(50)]
    await eventually(lambda: held.writers, what="a writer")
    assert held.writers[0] is not threading.current_thread(), "the loop goes on"
    assert taken == [threading.current_thread()], "the state is read on the loop"
    held.may.set()
    answers = await asyncio.gather(*asked)

    assert (len(taken), held.most) == (1, 1)
    assert all(b"steps_total 1.0" in gzip.decompress(each.body) for each in answers)
    later = await scrapes.answer("")
    assert b"steps_total 2.0" in later.body, "nothing is kept"


async def test_a_scrape_that_takes_too_long_is_given_up_and_its_page_still_is_the_only_one(
    held: type[Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "LIMIT_S", 0.02)
    scrapes = Scrapes(lambda: held(DECLARED))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await scrapes.answer("gzip")
    await eventually(lambda: held.writers, what="a writer")
    monkeypatch.undo()
    left = asyncio.create_task(scrapes.answer("gzip"))
    held.may.set()
    await left
    assert held.most == 1


async def test_a_page_that_cannot_be_taken_fails_its_own_scrape_only() -> None:
    pages = iter([ValueError("a figure is missing")])

    def take() -> Page:
        for each in pages:
            raise each
        return Page(DECLARED)

    scrapes = Scrapes(take)
    with pytest.raises(ValueError, match="a figure is missing"):
        await scrapes.answer("gzip")
    assert (await scrapes.answer("")).body.startswith(b"# HELP heat_celsius")


@pytest.mark.parametrize(
    ("accepted", "is_gzip"),
    [("gzip", True), ("deflate, gzip;q=1.0, *;q=0.5", True), ("", False), ("identity", False)],
)
async def test_a_page_is_compressed_for_who_accepts_it(accepted: str, is_gzip: bool) -> None:
    scrape = await Scrapes(lambda: Page(DECLARED)).answer(accepted)
    assert scrape.headers.get("Content-Encoding") == ("gzip" if is_gzip else None)
    plain = gzip.decompress(scrape.body) if is_gzip else scrape.body
    assert plain.decode() == text(Page(DECLARED))
