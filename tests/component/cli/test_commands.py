"""The command against a real orchestrator and real runners."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from component.cli.conftest import Place, Process, Start
from paddock.client.contexts import ContextFile
from testbed.waiting import wait_until


@pytest.fixture
def runner(place: Place, running: Process) -> Process:
    """As `running`, and idle: the calls of the test before are over."""

    def idle() -> bool:
        status = json.loads(place.paddock("status", "my-first-agent", "-o", "json").stdout)
        return bool(status["in_flight"] == 0)

    wait_until("an idle runner", idle, within_s=60)
    return running


@pytest.fixture(scope="module")
def running(place: Place) -> Iterator[Process]:
    """The first agent of `paddock init`, with room for two calls. Tests end their calls."""
    assert place.paddock("init", "--force").returncode == 0
    args = ("run", "agent.py", "--agent", "my-first-agent", "--max-sessions", "2")
    process = Process(args, place.env, place.folder)
    process.until("registered")
    yield process
    process.stop()


def test_a_first_agent_is_called_in_the_terminal(place: Place, runner: Process) -> None:
    """It greets, answers each line, and the call ends by our hang-up."""
    done = place.paddock("call", "my-first-agent", text="hello\ngood bye\n")
    assert (done.returncode, done.stderr) == (0, "")
    said = [line.strip() for line in done.stdout.splitlines() if line.startswith("agent:")]
    assert said == [
        "agent: Hello! Say something.", "agent: You said: hello", "agent: You said: good bye",
    ]  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[ended: completed (hangup)]"


def test_sessions_are_started_seen_and_stopped(place: Place, runner: Process) -> None:
    """Beyond the capacity a start is refused with the code that says so."""
    started = [
        json.loads(place.paddock("agent", "start", "my-first-agent", "-o", "json").stdout)
        for _ in range(2)
    ]
    refused = place.paddock("agent", "start", "my-first-agent")
    assert refused.returncode == 75
    assert "at_capacity" in refused.stderr
    listed = json.loads(place.paddock("agent", "sessions", "my-first-agent", "-o", "json").stdout)
    assert {s["session_id"] for s in listed} == {s["session_id"] for s in started}
    assert place.paddock("agent", "stop", "my-first-agent", "--all").returncode == 0

    def reason() -> Any:
        shown = place.paddock("sessions", "show", started[0]["session_id"], "-o", "json")
        return json.loads(shown.stdout)["end_reason"]

    wait_until("its end", lambda: reason() is not None, within_s=60)
    assert reason() == "terminated"


def test_load_plays_whole_calls(place: Place, runner: Process) -> None:
    """Two at a time have room; each is started, answered, and hung up by its caller."""
    done = place.paddock(
        "load", "my-first-agent", "--profile", "burst", "--rate", "0", "--peak", "4",
        "--duration", "0.1", "--hold", "5", "-o", "json",
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert done.returncode == 0
    assert (summary["offered"], summary["started"], summary["refused"]) == (4, 2, 2)
    assert (summary["completed"], summary["cut"], summary["lost"]) == (2, 0, 0)
    assert summary["first_word_ms"]["p50"] > 0


def test_status_and_top_show_the_pool(place: Place, runner: Process) -> None:
    """Slots as the runner claimed them."""
    status = json.loads(place.paddock("status", "my-first-agent", "-o", "json").stdout)
    assert (status["capacity"], status["runners"]) == (2, 1)
    assert "my-first-agent" in place.paddock("top", "--once").stdout


def test_a_new_installation_has_one_organization(place: Place) -> None:
    listed = json.loads(place.paddock("organizations", "list", "-o", "json").stdout)
    assert [(o["organization_id"], o["name"]) for o in listed] == [("default", "default")]
    assert listed[0]["created_at"]


def test_a_key_is_made_used_and_revoked(place: Place, runner: Process) -> None:
    """A revoked key starts nothing, and is not rolled."""
    made = json.loads(place.paddock("organizations", "keys", "create", "web", "-o", "json").stdout)
    start = ("agent", "start", "my-first-agent", "--api-key", made["key"])
    assert place.paddock(*start).returncode == 0
    assert place.paddock("organizations", "keys", "revoke", "web").returncode == 0
    assert place.paddock(*start).returncode == 4
    rolled = place.paddock("organizations", "keys", "roll", "web")
    assert rolled.returncode == 1
    assert "is revoked; create a new one" in rolled.stderr
    assert place.paddock("agent", "stop", "my-first-agent", "--all").returncode == 0


def test_a_bot_sees_its_arguments_and_is_cancelled_when_stopped(place: Place, start: Start) -> None:
    """`body` is what the caller passed; a bot with its own transport ends with its session."""
    (place.folder / "bot.py").write_text(
        "import asyncio\n"
        "async def bot(args):\n"
        "    print('got', args.body, args.session_id, flush=True)\n"
        "    try:\n"
        "        await asyncio.Event().wait()\n"
        "    finally:\n"
        "        print('cleaned up', flush=True)\n"
    )
    process = start("run", "bot.py", PADDOCK_AGENT_ID="pipecat")
    process.until("registered")
    done = place.paddock("agent", "start", "pipecat", "--data", '{"room": "r"}', "-o", "json")
    session_id = json.loads(done.stdout)["session_id"]
    assert f"{{'room': 'r'}} {session_id}" in process.until("got")
    assert place.paddock("agent", "stop", "pipecat", "--session", session_id).returncode == 0
    process.until("cleaned up")


def test_a_file_that_starts_its_own_runner_is_run(place: Place, start: Start) -> None:
    """With its own options; SIGTERM ends it cleanly."""
    (place.folder / "own.py").write_text(
        "from paddock import AgentRunner\n"
        "async def talk(ctx):\n    await ctx.session.run()\n"
        "runner = AgentRunner(talk, agent_id='own', max_sessions=3)\n"
        "if __name__ == '__main__':\n    runner.start()\n"
    )
    process = start("run", "own.py")
    process.until("registered")
    assert json.loads(place.paddock("status", "own", "-o", "json").stdout)["capacity"] == 3
    assert process.stop() == 0


def save(file: Path, text: str) -> None:
    """All of it at once, as editors do: of half a file something else is wrong."""
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(file)


def test_dev_reloads_on_save_and_survives_broken_code(place: Place, start: Start) -> None:
    """New calls meet the new code; code that does not parse changes nothing."""
    folder = place.folder / "dev"
    assert place.paddock("init", str(folder)).returncode == 0
    file = folder / "agent.py"
    process = start("dev", "dev/agent.py", "--agent", "mine", "--no-console")
    process.until("mine@dev runs on")
    assert "Hello!" in place.paddock("call", "mine@dev", "--say", "x").stdout
    code = file.read_text()
    save(file, "async def entrypoint(ctx:\n")
    assert "agent.py:1" in process.until("Error:")
    save(file, code.replace("Hello!", "Good day!"))
    process.until("reloaded")
    assert "Good day!" in place.paddock("call", "mine@dev", "--say", "x").stdout
    assert process.stop() == 143

    def left() -> bool:
        runners = json.loads(place.paddock("runners", "mine@dev", "-o", "json").stdout)
        return not [r for r in runners if r["connected"]]

    wait_until("no runner is connected", left, within_s=60)


def test_a_reload_is_told_when_the_old_code_takes_no_new_call(place: Place, start: Start) -> None:
    """Here it is slow to hear that it is to leave: it is frozen until the new code is there."""
    assert place.paddock("init", str(place.folder / "frozen")).returncode == 0
    process = start("dev", "frozen/agent.py", "--agent", "frozen", "--no-console")
    process.until("frozen@dev runs on")
    [old] = psutil.Process(process.popen.pid).children()

    context = ContextFile.load(place.env).contexts["local"]

    def shown() -> list[Any]:
        """Not by a command, which may take longer than the old code is waited for."""
        answer = httpx.get(
            f"{context.url}/v1/runners", params={"agent": "frozen@dev"}, timeout=60,
            headers={"Authorization": f"Bearer {context.private_key}"}, trust_env=False,
        )  # fmt: skip
        listed: list[Any] = answer.json()
        return [each for each in listed if each["connected"]]

    def thaw_beside_the_new_one() -> None:
        wait_until("two runners", lambda: len(shown()) == 2, within_s=60)
        looked.wait(1.5)
        old.resume()

    looked = threading.Event()
    old.suspend()
    thawing = threading.Thread(target=thaw_beside_the_new_one)
    thawing.start()
    file = place.folder / "frozen" / "agent.py"
    save(file, file.read_text() + "\n")
    process.until("reloaded")
    called = [each["runner_id"] for each in shown() if not each["draining"]]
    looked.set()
    thawing.join()
    assert len(called) == 1


def test_dev_brings_its_own_orchestrator(place: Place, start: Start) -> None:
    """One command from nothing to a conversation, and nothing is left behind."""
    env = {**place.env, "PADDOCK_CONTEXTS": str(place.folder / "no-contexts.json")}
    env["PADDOCK_BASE_URL"] = "http://127.0.0.1:9"
    assert place.paddock("init", "--force").returncode == 0
    done = Place(place.folder, env).paddock("dev", "agent.py", text="hello\n")
    assert done.returncode == 0, done.stderr
    assert "agent: You said: hello" in done.stdout
    assert not (place.folder / "no-contexts.json").exists()
