"""What is taken is what a scraper reads, in each format, and no scrape holds up the loop."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from fakes.waiting import eventually
from paddock import exposition
from paddock.exposition import Declarations, Histogram, Metric, Page, Scrapes, written

DECLARED = Declarations()
HEAT = DECLARED.gauge("heat_celsius", "How warm it is.\nA \\ in it.", room="its name")
STEPS = DECLARED.counter("steps_total", "Steps.")
WAIT = DECLARED.histogram("wait_seconds", "Waits.", (0.5, 1, 10), room="its name")

OPEN = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"


def families(page: Page, accept: str = "") -> list[Family]:
    text, content_type = written(page, accept)
    if content_type.startswith("application/openmetrics-text"):
        return list(openmetrics.text_string_to_metric_families(text.decode()))
    return list(text_string_to_metric_families(text.decode()))


def read(page: Page, accept: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(page, accept)
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["", OPEN])
@pytest.mark.parametrize("room", ["hall", "", 'the "red" one', "back\\slash", "two\nlines", "café"])
@pytest.mark.parametrize("value", [0, 3, 0.25, -1.5, 1e-9, 12345678901234.5, float("inf")])
def test_what_is_put_is_what_is_read(room: str, value: float, accept: str) -> None:
    page = Page(DECLARED)
    page.put(HEAT, value, room)
    assert read(page, accept) == {("heat_celsius", frozenset({("room", room)})): value}


@pytest.mark.parametrize("accept", ["", OPEN])
def test_a_histogram_is_cumulative_and_a_value_on_a_bound_is_below_it(accept: str) -> None:
    histogram, page = Histogram(WAIT.bounds), Page(DECLARED)
    for seconds in (0.5, 0.7, 99.0):
        histogram.observe(seconds)
    page.put_histogram(WAIT, histogram, "hall")
    histogram.observe(0.1)
    found = read(page, accept)
    room = ("room", "hall")
    buckets = {
        le: found["wait_seconds_bucket", frozenset({room, ("le", le)})]
        for le in ("0.5", "1.0", "10.0", "+Inf")
    }
    assert buckets == {"0.5": 1, "1.0": 2, "10.0": 2, "+Inf": 3}, "as it was when it was put"
    assert found["wait_seconds_count", frozenset({room})] == 3
    assert found["wait_seconds_sum", frozenset({room})] == pytest.approx(100.2)


@pytest.mark.parametrize("accept", ["", OPEN])
def test_every_metric_has_its_head_with_and_without_samples(accept: str) -> None:
    page = Page(DECLARED)
    page.put(STEPS, 1)
    assert [(f.name, f.type, f.documentation) for f in families(page, accept)] == [
        ("heat_celsius", "gauge", "How warm it is.\nA \\ in it."),
        ("steps", "counter", "Steps."),
        ("wait_seconds", "histogram", "Waits."),
    ]
    assert ("steps_total", frozenset()) in read(page, accept)


def test_what_is_not_declared_or_has_other_labels_is_refused() -> None:
    page = Page(DECLARED)
    with pytest.raises(KeyError):
        page.put(Metric("gauge", "stray", "", {}), 1)
    with pytest.raises(ValueError, match="heat_celsius has 1 labels"):
        page.put(HEAT, 1, "hall", "again")
    with pytest.raises(ValueError, match="wait_seconds has 1 labels"):
        page.put_histogram(WAIT, Histogram(WAIT.bounds))


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "text/plain; version=latest", "é", "a" * 4000]
)
def test_a_wish_that_cannot_be_met_gets_the_text_format(accept: str) -> None:
    assert written(Page(DECLARED), accept)[1] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("version", ["", "1.x", "9.9.9", "1.0.0\r\n Set-Cookie: a=b"])
def test_whatever_version_is_asked_for_the_one_that_is_known_is_told(version: str) -> None:
    told = written(Page(DECLARED), f"application/openmetrics-text; version={version}")[1]
    assert told.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert "Cookie" not in told


class Held(Page):
    """A page that is not written before it may be; all of them share who is at it."""

    may = threading.Event()
    writers: list[threading.Thread]
    most = 0

    def collect(self) -> Iterator[Family]:
        self.writers.append(threading.current_thread())
        Held.most = max(Held.most, len(self.writers))
        assert self.may.wait(60)
        self.writers.pop()
        return super().collect()


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
    asked = [asyncio.create_task(scrapes.answer(accept)) for accept in ("", "", OPEN, OPEN, "")]
    await eventually(lambda: held.writers, what="a writer")
    assert held.writers[0] is not threading.current_thread(), "the loop goes on"
    assert taken == [threading.current_thread()], "the state is read on the loop"
    held.may.set()
    answers = await asyncio.gather(*asked)

    assert (len(taken), held.most) == (2, 1)
    assert [b"steps_total 1.0" in text for text, _ in answers] == [True, True, False, False, True]
    assert answers[2][0].endswith(b"# EOF\n")
    assert b"steps_total 3.0" in (await scrapes.answer(""))[0], "nothing is kept"


async def test_a_scrape_that_takes_too_long_is_given_up_and_its_page_still_is_the_only_one(
    held: type[Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "LIMIT_S", 0.02)
    scrapes = Scrapes(lambda: held(DECLARED))
    for accept in ("", OPEN):
        with pytest.raises(TimeoutError):
            await scrapes.answer(accept)
    await eventually(lambda: held.writers, what="a writer")
    monkeypatch.undo()
    left = asyncio.create_task(scrapes.answer(""))
    held.may.set()
    await left
    assert held.most == 1


async def test_wishes_do_not_pile_up(held: type[Held]) -> None:
    taken = []

    def take() -> Page:
        taken.append(1)
        return held(DECLARED)

    scrapes = Scrapes(take)
    asked = [asyncio.create_task(scrapes.answer(f"text/{n}")) for n in range(50)]
    await eventually(lambda: held.writers, what="a writer")
    held.may.set()
    await asyncio.gather(*asked)
    assert len(taken) == 1


async def test_a_page_that_cannot_be_taken_fails_its_own_scrape_only() -> None:
    pages = iter([ValueError("a figure is missing")])

    def take() -> Page:
        for each in pages:
            raise each
        return Page(DECLARED)

    scrapes = Scrapes(take)
    with pytest.raises(ValueError, match="a figure is missing"):
        await scrapes.answer("")
    assert await scrapes.answer("")
