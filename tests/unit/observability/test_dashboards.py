"""The chart's dashboards are those that the generator writes, and what Grafana's types take."""

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from fakes.shown import expressions_of, selectors_of
from observability.dashboards import DASHBOARDS, FOLDER, text_of


def loaded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def test_files_are_what_the_generator_writes() -> None:
    """Write them anew with `python -m observability.dashboards`."""
    assert sorted(path.stem for path in FOLDER.glob("*")) == sorted(DASHBOARDS)
    for name in DASHBOARDS:
        assert text_of(name) == (FOLDER / f"{name}.json").read_text(), name


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_types_know_every_field(name: str) -> None:
    """What they did not know, they would drop."""
    read = Dashboard.from_json(loaded(name))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == loaded(name)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_names_words_and_room(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    numbers = set()
    for panel in loaded(name)["panels"]:
        numbers.add(panel["id"])
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert panel["targets"], panel["title"]
    assert len(numbers) == len(loaded(name)["panels"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_counted_is_seen_however_seldom_it_is_scraped_or_drawn(name: str) -> None:
    """A window of its own would hold one sample at most, or leave out what is between two steps."""
    windows = {
        window
        for query in expressions_of(loaded(name))
        for window in re.findall(r"\[(.*?)\]", query)
    }
    assert windows <= {"$__rate_interval", "$__range"}


def test_runners_are_those_of_the_pool_that_was_chosen() -> None:
    """Pools of one name in two namespaces run agents of one name."""
    asked = [
        one
        for query in expressions_of(loaded("pool"))
        for one in selectors_of(query)
        if one.startswith("paddock_runner_")
    ]
    assert asked
    chosen = ('namespace="$namespace"', 'pool="$pool"')
    assert [one for one in asked if any(label not in one for label in chosen)] == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_asks_the_chosen_data_source_and_every_choice_is_used(name: str) -> None:
    found = loaded(name)
    for panel in found["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}", panel["title"]
    variables = [one["name"] for one in found["templating"]["list"]]
    text = "".join(expressions_of(found)) + json.dumps(found["templating"])
    unused = [one for one in variables if f"${one}" not in text and f"${{{one}}}" not in text]
    assert unused == []
