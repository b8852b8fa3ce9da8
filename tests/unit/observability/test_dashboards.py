"""The chart's dashboards are those that the generator writes, and what Grafana's types take."""

import json
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from fakes.shown import expressions_of
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
def test_every_query_asks_the_chosen_data_source_and_every_choice_is_used(name: str) -> None:
    found = loaded(name)
    for panel in found["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}", panel["title"]
    variables = [one["name"] for one in found["templating"]["list"]]
    text = "".join(expressions_of(found)) + json.dumps(found["templating"])
    unused = [one for one in variables if f"${one}" not in text and f"${{{one}}}" not in text]
    assert unused == []
