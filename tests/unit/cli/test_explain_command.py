"""`paddock explain`, for people and for programs."""

import pytest
import yaml

from fakes.http_server import FakeHttpServer, Told
from unit.cli.conftest import Paddock

DECISION = {
    "until": 0,
    "passes": 2,
    "sentence": "2 runners wanted",
    "sample": dict.fromkeys(
        ("in_flight", "queued", "ready", "starting", "draining_sessions", "arrivals"), 1
    ),
    "actions": [{"action": "create", "count": 1, "runners": ["r-1"]}],
}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_decisions_are_told_to_programs_as_they_are(
    run: Paddock, server: FakeHttpServer, form: str
) -> None:
    server.tell("GET /explain", Told(body={"voice/desk": [DECISION, DECISION]}))
    args = ("explain", "desk", "--namespace", "voice", "--operator", server.url)
    assert yaml.safe_load(run(*args, "-n", "1", "-o", form).stdout) == [DECISION]
    assert "2 runners wanted" in run(*args).stdout
