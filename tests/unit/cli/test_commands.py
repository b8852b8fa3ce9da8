"""What the commands ask for, and how they show the answer."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.http_server import FakeHttpServer, Told
from paddock import __version__
from unit.cli.conftest import Paddock, is_one_line

STARTED = {"sessionId": "s-1", "agent": "echo", "token": "t", "textUrl": "ws://x/text"}
SESSION = {"session_id": "s-1", "agent": "echo", "state": "active", "runner": "r-1"}
AGENT = {
    "agent": "echo", "in_flight": 3, "capacity": 5, "max_slots": 10, "queued": 1,
    "reason": "two calls wait",
}  # fmt: skip
KEYS = [
    {"key_id": "key_1", "name": "web", "scope": "public", "key": "pk_web"},
    {"key_id": "key_2", "name": "ops", "scope": "private"},
]


def test_start_passes_data_through(run: Paddock, server: FakeHttpServer, tmp_path: Path) -> None:
    """From the line or from a file, any JSON."""
    server.tell("POST /v1/public/echo/start", Told(body=STARTED))
    file = tmp_path / "data.json"
    file.write_text('["a", {"b": null}]')
    assert run("agent", "start", "echo", "--data", '{"room": "my-room"}').exit_code == 0
    assert run("agent", "start", "echo", "--data-file", str(file)).exit_code == 0
    assert [asked.body["body"] for asked in server.asked] == [
        {"room": "my-room"},
        ["a", {"b": None}],
    ]


def test_start_uses_the_key_that_is_given(run: Paddock, server: FakeHttpServer) -> None:
    """`--api-key pk_...` wins over the environment."""
    server.tell("POST /v1/public/echo/start", Told(body=STARTED))
    result = run("agent", "start", "echo", "--api-key", "pk_mine", "-o", "json")
    assert json.loads(result.stdout)["session_id"] == "s-1"
    assert server.asked[0].headers["authorization"] == "Bearer pk_mine"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{'a': 1}", "double quotes"),
        ('{"a": }', "column 7"),
        ("", "{}"),
        ("{a: 1}", "single quotes"),
    ],
)
def test_broken_data_names_the_place_and_the_fix(run: Paddock, data: str, expected: str) -> None:
    """Before a server is looked for."""
    result = run("agent", "start", "echo", "--data", data)
    assert result.exit_code == 2
    assert is_one_line(result.stderr)
    assert "line 1, column" in result.stderr
    assert expected in result.stderr


def test_a_missing_data_file_is_not_found(run: Paddock) -> None:
    """With its name."""
    result = run("agent", "start", "echo", "--data-file", "absent.json")
    assert result.exit_code == 3
    assert "absent.json" in result.stderr


def test_stop_needs_a_session_or_all(run: Paddock, server: FakeHttpServer) -> None:
    """Ending every call is never the default."""
    assert run("agent", "stop", "echo").exit_code == 2
    assert run("agent", "stop", "echo", "--session", "s-1", "--all").exit_code == 2
    assert server.asked == []


def test_stop_all_ends_every_page(run: Paddock, server: FakeHttpServer) -> None:
    """Of the agent's open sessions only."""
    pages = [
        {"sessions": [{**SESSION, "session_id": name}], "next": after}
        for name, after in (("s-1", "cursor"), ("s-2", None))
    ]
    server.tell("GET /v1/agents/echo", Told(body=AGENT))
    server.tell("GET /v1/sessions", *(Told(body=page) for page in pages))
    for name in ("s-1", "s-2"):
        server.tell(f"POST /v1/sessions/{name}/end", Told(body=SESSION))
    result = run("agent", "stop", "echo", "--all")
    assert result.output == "2 sessions of echo being ended\n"
    ended = [asked.path for asked in server.asked if asked.method == "POST"]
    assert ended == ["/v1/sessions/s-1/end", "/v1/sessions/s-2/end"]
    lists = [asked.path for asked in server.asked if asked.path.startswith("/v1/sessions?")]
    assert all("state=open" in path and "agent=echo" in path for path in lists)


def test_delete_asks_first(run: Paddock, server: FakeHttpServer) -> None:
    """Anything but yes does nothing."""
    server.tell("DELETE /v1/agents/echo", Told(body=AGENT))
    assert run("agent", "delete", "echo", text="n\n").exit_code == 130
    assert server.asked == []
    assert "3 still active" in run("agent", "delete", "echo", "--yes").output


def test_status_is_a_plain_table_when_piped(run: Paddock, server: FakeHttpServer) -> None:
    """Aligned columns, no drawing, no colours."""
    server.tell("GET /v1/agents", Told(body=[AGENT]))
    heading, line = run("status").output.splitlines()
    assert heading.split()[:2] == ["AGENT", "IN"]
    assert line.startswith("echo   3 ")
    assert line.endswith("two calls wait")
    assert "\x1b" not in line


def test_answers_come_as_json_and_yaml(run: Paddock, server: FakeHttpServer) -> None:
    """With every field, whatever the table shows."""
    server.tell("GET /v1/agents/echo", Told(body=AGENT))
    as_json = json.loads(run("status", "echo", "-o", "json").stdout)
    assert (as_json["max_slots"], as_json["refused_for"]) == (10, {})
    assert yaml.safe_load(run("agent", "status", "echo", "-o", "yaml").stdout) == as_json


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_what_was_done_is_told_to_programs_too(
    run: Paddock, server: FakeHttpServer, form: str
) -> None:
    """And nothing but the answer is on stdout."""
    key = {"key_id": "k-1", "name": "web", "scope": "public", "key": "pk_1"}
    server.tell("GET /v1/agents/echo", Told(body=AGENT))
    server.tell("GET /v1/agents", Told(body=[AGENT]))
    server.tell("DELETE /v1/agents/echo", Told(body=AGENT))
    server.tell("GET /v1/sessions", Told(body={"sessions": [SESSION], "next": None}))
    server.tell("POST /v1/sessions/s-1/end", Told(body=SESSION))
    server.tell("GET /v1/keys", Told(body=[key]))
    server.tell("DELETE /v1/keys/k-1", Told(body=key))

    def told(*args: str, text: str | None = None) -> Any:
        result = run(*args, "-o", form, text=text)
        assert result.exit_code == 0, result.output
        return yaml.safe_load(result.stdout)

    assert told("version") == {"version": __version__}
    assert told("agent", "stop", "echo", "--all") == {"agent": "echo", "sessions": ["s-1"]}
    assert told("agent", "stop", "echo", "--session", "s-1")["sessions"] == ["s-1"]
    assert told("agent", "delete", "echo", text="y\n")["in_flight"] == 3
    assert told("sessions", "end", "s-1")["session_id"] == "s-1"
    assert [each["agent"] for each in told("top", "--once")] == ["echo"]
    assert [each["agent"] for each in told("top", "echo")] == ["echo"]
    revoked = {"name": "web", "key_id": "k-1", "was_default": False}
    assert told("organizations", "keys", "revoke", "web") == revoked


def test_nothing_to_show_says_what_to_do(run: Paddock, server: FakeHttpServer) -> None:
    """And stays machine-readable as JSON."""
    server.tell("GET /v1/agents", Told(body=[]))
    assert "paddock dev" in run("status").output
    assert json.loads(run("status", "-o", "json").output) == []


def test_sessions_are_listed_by_agent_and_state(run: Paddock, server: FakeHttpServer) -> None:
    """`agent sessions` shows the active ones with their ids."""
    server.tell("GET /v1/sessions", Told(body={"sessions": [SESSION], "next": None}))
    assert "s-1" in run("agent", "sessions", "echo").output
    assert "s-1" in run("sessions", "list", "echo", "--state", "ended").output
    assert "state=open" in server.asked[0].path
    assert "state=ended" in server.asked[1].path


def test_a_session_is_shown_with_its_events(run: Paddock, server: FakeHttpServer) -> None:
    """In order."""
    event = {"event_id": 1, "at": "12:00", "kind": "session.started", "agent": "echo"}
    server.tell("GET /v1/sessions/s-1", Told(body={**SESSION, "events": [event]}))
    assert "session.started" in run("sessions", "show", "s-1").output


def test_ending_an_ended_session_says_so(run: Paddock, server: FakeHttpServer) -> None:
    """It is not an error."""
    ended = {**SESSION, "state": "ended", "end_reason": "completed"}
    server.tell("POST /v1/sessions/s-1/end", Told(body=ended))
    result = run("sessions", "end", "s-1")
    assert (result.exit_code, "had ended already" in result.output) == (0, True)


def test_runners_are_listed(run: Paddock, server: FakeHttpServer) -> None:
    """Of one agent if wanted."""
    server.tell("GET /v1/runners", Told(body=[{"runner_id": "r-1", "agent": "echo"}]))
    assert "r-1" in run("runners", "echo").output
    assert server.asked[0].path.endswith("?agent=echo")


def test_top_once_prints_one_frame(run: Paddock, server: FakeHttpServer) -> None:
    """Slots, queue, and the last decision."""
    server.tell("GET /v1/agents", Told(body=[AGENT]))
    output = run("top", "--once").output
    assert "5/10" in output
    assert "two calls wait" in output


def test_the_chosen_public_key_starts_sessions(
    run: Paddock, server: FakeHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`keys use NAME` is remembered by the context of that server."""
    monkeypatch.delenv("PADDOCK_API_KEY")
    monkeypatch.delenv("PADDOCK_BASE_URL")
    server.tell("GET /v1/keys", Told(body=KEYS))
    server.tell("POST /v1/public/echo/start", Told(body=STARTED))
    assert run("context", "add", "here", "--url", server.url, "--key", "sk_1").exit_code == 0
    assert run("organizations", "keys", "use", "web").exit_code == 0
    assert run("agent", "start", "echo").exit_code == 0
    used = [asked.headers["authorization"] for asked in server.asked]
    assert used == ["Bearer sk_1", "Bearer pk_web"]


def test_the_organization_is_the_one_the_server_names(run: Paddock, server: FakeHttpServer) -> None:
    """Whatever it is called."""
    named = {"organization_id": "org_7", "name": "Acme", "created_at": "2026-01-02T03:04:05.000Z"}
    server.tell("GET /v1/organization", Told(body=named))
    listed = json.loads(run("organizations", "list", "-o", "json").output)
    assert listed == [{**named, "current": True, "url": server.url}]


def test_only_a_public_key_can_be_the_default(run: Paddock, server: FakeHttpServer) -> None:
    """And an unknown one is not found."""
    server.tell("GET /v1/keys", Told(body=KEYS))
    refused = run("organizations", "keys", "use", "ops")
    assert (refused.exit_code, "public" in refused.stderr) == (1, True)
    absent = run("organizations", "keys", "use", "nope")
    assert (absent.exit_code, "ops, web" in absent.stderr) == (3, True)


def test_keys_are_made_rolled_and_revoked_by_name(run: Paddock, server: FakeHttpServer) -> None:
    """The new text is shown."""
    made = {"key_id": "key_9", "name": "web", "scope": "public", "key": "pk_new"}
    server.tell("GET /v1/keys", Told(body=KEYS))
    server.tell("POST /v1/keys", Told(201, made))
    server.tell("POST /v1/keys/key_1/roll", Told(201, made))
    server.tell("DELETE /v1/keys/key_1", Told(body=KEYS[0]))
    assert "pk_new" in run("organizations", "keys", "create", "web", "--agent", "echo").output
    assert server.asked[0].body == {"name": "web", "scope": "public", "agents": ["echo"]}
    assert "pk_new" in run("organizations", "keys", "roll", "web").output
    assert "revoked" in run("organizations", "keys", "revoke", "web").output


def test_contexts_are_added_used_shown_and_removed(run: Paddock) -> None:
    """Keys are masked unless asked for."""
    key = "sk_0123456789abcdef"
    assert run("context", "add", "a", "--url", "a.example", "--key", key).exit_code == 0
    assert run("context", "add", "b", "--url", "http://b:1", "--no-use").exit_code == 0
    listed = json.loads(run("context", "list", "-o", "json").output)
    assert [(c["name"], c["current"]) for c in listed] == [("a", True), ("b", False)]
    assert listed[0]["url"] == "https://a.example"
    assert key not in run("context", "show").output
    assert key in run("context", "show", "--reveal").output
    assert run("context", "use", "b").exit_code == 0
    assert run("context", "remove", "b").output == "b removed; a is in use\n"
    assert run("context", "use", "b").exit_code == 3


@pytest.mark.parametrize(
    "args", [("--rate", "0"), ("--profile", "ramp", "--rate", "1000", "--duration", "1000")]
)
def test_a_load_that_makes_no_sense_is_wrong_usage(
    run: Paddock, server: FakeHttpServer, args: tuple[str, ...]
) -> None:
    """No caller is played."""
    assert run("load", "echo", *args).exit_code == 2
    assert server.asked == []


def test_load_counts_refusals_as_answers(run: Paddock, server: FakeHttpServer) -> None:
    """Each once, with its 429; the run itself succeeded."""
    server.refuse("POST /v1/public/echo/start", 429, "at_capacity")
    result = run("load", "echo", "--profile", "burst", "--rate", "0", "--peak", "7",
                 "--duration", "0.1", "-o", "json")  # fmt: skip
    summary = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (summary["offered"], summary["refused"], summary["refused_with_429"]) == (7, 7, 7)
    assert len(server.asked) == 7
