"""`paddock up` under every kind of ill-treatment: calls go on, runners are adopted."""

import os
import signal
import time
from typing import Any

import httpx
import psutil
import pytest

from fakes.caller import Caller, Refused
from fakes.local_pool import LocalPool, wait_for
from fakes.processes import free_port

pytestmark = pytest.mark.timeout(400)


def _up(pool: LocalPool, *options: str) -> None:
    pool.up(*options)
    wait_for("a serving runner", pool.serving)


def _crashes(pool: LocalPool) -> list[dict[str, Any]]:
    """As the status tells them."""
    found: list[dict[str, Any]] = pool.status().get("pool", {}).get("crashes", [])
    return found


def test_a_call_survives_kill_9_of_paddock_up_and_its_runner_is_adopted(pool: LocalPool) -> None:
    _up(pool)
    before = pool.serving()[0]
    with Caller(pool.context, "pool") as caller:
        assert caller.ask("one") == "heard one"
        pool.processes[0].kill()
        pool.processes[0].wait(10)

        assert caller.ask("two") == "heard two"
        pool.up()
        wait_for("the adoption", lambda: "runners_adopted" in pool.log)

        adopted = wait_for("the adopted runner to serve", pool.serving)
        assert adopted[0]["pid"] == before["pid"]
        assert caller.ask("three") == "heard three"
        assert caller.hang_up()["reason"] == "completed"


def test_a_call_survives_kill_9_of_the_orchestrator(pool: LocalPool) -> None:
    _up(pool, "--port", str(free_port()))  # nobody else gets it while it is down
    with Caller(pool.context, "pool") as caller:
        assert caller.ask("one") == "heard one"
        os.kill(pool.record("orchestrator.json")["pid"], signal.SIGKILL)
        wait_for("the orchestrator to be back", lambda: pool.get("/readyz").get("ready"))

        caller.reconnect()
        assert caller.ask("two") == "heard two"
        said = [f["text"] for f in caller.heard if f["event"] == "agent.say"]
        assert said == ["hello"]
        assert caller.hang_up()["reason"] == "completed"
    ended = wait_for(
        "the record of the end",
        lambda: (s := pool.get(f"/v1/sessions/{caller.session_id}")).get("state") == "ended" and s,
    )
    assert ended["end_reason"] == "completed"


def test_a_runner_killed_with_a_call_is_lost_at_once_reported_and_replaced(
    pool: LocalPool,
) -> None:
    _up(pool)
    runner = pool.serving()[0]
    with Caller(pool.context, "pool") as caller:
        caller.ask("one")
        os.kill(runner["pid"], signal.SIGKILL)

        assert caller.wait_for("call.ended")["reason"] == "runner_lost"
    replaced = wait_for(
        "a replacement",
        lambda: (r := pool.serving()) and r[0]["runner"] != runner["runner"] and r,
    )
    assert len(replaced) >= 1
    crashes = wait_for("the crash in the status", lambda: _crashes(pool))
    assert crashes[0]["runner"] == runner["runner"]
    assert crashes[0]["exit"] == "killed by SIGKILL"


def test_runners_that_cannot_start_back_off_and_say_their_last_words(pool: LocalPool) -> None:
    pool.write(command="[python, -c, \"import sys; sys.exit('no microphone')\"]", backoff=2)
    began = time.monotonic()
    pool.up()
    crashes = wait_for("a crash in the status", lambda: _crashes(pool))
    assert crashes[0]["lines"] == ["no microphone"]
    assert crashes[0]["exit"] == "exit code 1"
    time_to_look = time.monotonic() + 4.0
    wait_for("four seconds to pass", lambda: time.monotonic() > time_to_look)
    again = wait_for("the status", lambda: _crashes(pool))
    assert len(again) <= 1 + (time.monotonic() - began) / 2, "one at once, then every 2 s at most"
    assert "no microphone" in pool.paddock("status", "pool").stdout


def test_saving_the_manifest_rolls_out_without_cutting_the_call(pool: LocalPool) -> None:
    _up(pool)
    old = pool.serving()[0]
    with Caller(pool.context, "pool") as caller:
        caller.ask("one")
        pool.write(mark="2")
        wait_for(
            "the new revision",
            lambda: any(r["revision"] != old["revision"] for r in pool.serving()),
        )

        assert caller.ask("two") == "heard two"
        assert caller.hang_up()["reason"] == "completed"
    wait_for(
        "the old revision to leave",
        lambda: (
            (rs := pool.status().get("pool", {}).get("runners"))
            and all(r["revision"] != old["revision"] for r in rs)
        ),
    )


def test_a_broken_manifest_is_complained_of_and_changes_nothing(pool: LocalPool) -> None:
    _up(pool)
    before = pool.serving()
    good = pool.manifest.read_bytes()
    pool.save(good.replace(b"sessionsPerRunner: 2", b"sessionsPerRunner: many"))

    wait_for("the complaint", lambda: "manifest_refused" in pool.log)
    assert "sessionsPerRunner" in pool.log
    assert "many" in pool.log
    assert [r["runner"] for r in pool.serving()] == [r["runner"] for r in before]


def test_ctrl_c_waits_for_the_call_and_then_leaves_nothing(pool: LocalPool) -> None:
    _up(pool)
    with Caller(pool.context, "pool") as caller:
        caller.ask("one")
        pool.processes[0].send_signal(signal.SIGINT)
        wait_for("the drain", lambda: "draining_pool" in pool.log)
        wait_for("a runner that heard of it", pool.draining)

        assert caller.ask("two") == "heard two"
        with pytest.raises(Refused) as refused:
            Caller(pool.context, "pool")
        assert refused.value.answer.status_code in (429, 503)
        assert caller.hang_up()["reason"] == "completed"
    assert pool.processes[0].wait(60) == 0
    assert list((pool.folder / "state" / "pool" / "runners").glob("*.json")) == []


def test_a_second_ctrl_c_forces(pool: LocalPool) -> None:
    _up(pool)
    with Caller(pool.context, "pool") as caller:
        caller.ask("one")
        pool.processes[0].send_signal(signal.SIGINT)
        wait_for("the drain", lambda: "draining_pool" in pool.log)
        pool.processes[0].send_signal(signal.SIGINT)

        assert caller.wait_for("call.ended")["reason"] == "terminated"
    assert pool.processes[0].wait(60) == 0


def test_down_drains_what_a_killed_up_left_behind(pool: LocalPool) -> None:
    _up(pool)
    pool.processes[0].kill()
    pool.processes[0].wait(10)

    down = pool.paddock("down")

    assert down.returncode == 0, down.stderr
    assert list((pool.folder / "state" / "pool" / "runners").glob("*.json")) == []


def test_a_second_up_for_the_same_pool_is_refused(pool: LocalPool) -> None:
    _up(pool)

    second = pool.paddock("up", "--port", "0")

    assert second.returncode == 1
    assert "already up" in second.stderr


def test_a_second_up_is_refused_before_the_first_has_said_who_it_is(pool: LocalPool) -> None:
    _up(pool)
    (pool.folder / "state" / "pool" / "up.json").unlink()

    assert pool.up().wait(60) == 1
    assert "already up" in pool.log
    assert pool.serving()


def test_a_sleeping_pool_wakes_for_the_first_call(pool: LocalPool) -> None:
    pool.write(least=0)
    pool.up()
    wait_for("the pool to be declared", lambda: pool.status().get("max_slots") == 6)
    assert pool.serving() == []

    with Caller(pool.context, "pool") as caller:
        assert caller.ask("one") == "heard one"
        assert caller.hang_up()["reason"] == "completed"


def test_beyond_the_maximum_a_start_gets_its_429_at_once(pool: LocalPool) -> None:
    pool.write(most=1)
    _up(pool)
    callers = [Caller(pool.context, "pool") for _ in range(2)]
    began = time.monotonic()

    with pytest.raises(Refused) as refused:
        Caller(pool.context, "pool")

    assert time.monotonic() - began < 20.0, "it need not wait in the queue, which takes 45 s"
    body = refused.value.answer.json()
    assert (body["status"], body["code"], body["reason"]) == (429, "429", "at_capacity")
    assert int(refused.value.answer.headers["Retry-After"]) >= 1
    for caller in callers:
        assert caller.hang_up()["reason"] == "completed"
        caller.close()


def test_logs_show_what_the_runners_wrote(pool: LocalPool) -> None:
    _up(pool)
    runner = pool.serving()[0]["runner"]

    def shown() -> str:
        done = pool.paddock("logs", "pool", "--runner", runner)
        assert done.returncode == 0, done.stderr
        return done.stdout

    wait_for("what it wrote", lambda: "registered" in shown())
    assert f"{runner} | " in shown()


def _kill_orchestrator(pool: LocalPool) -> None:
    """And wait for another one that answers."""
    before = pool.orchestrators()
    assert len(before) == 1
    os.kill(before[0], signal.SIGKILL)
    wait_for("another orchestrator", lambda: set(pool.orchestrators()) - set(before))
    wait_for("the orchestrator to be back", lambda: pool.get("/readyz").get("ready"))


def test_a_manifest_that_is_not_utf_8_is_refused_and_the_pool_looked_after(
    pool: LocalPool,
) -> None:
    _up(pool, "--port", str(free_port()))
    pool.save(pool.manifest.read_bytes() + b"# caf\xe9\n")
    wait_for("the complaint", lambda: "manifest_refused" in pool.log)
    assert "UTF-8" in pool.log

    _kill_orchestrator(pool)
    pool.write(mark="2")
    wait_for("the next version", lambda: "manifest_changed" in pool.log)


def test_an_orchestrator_that_cannot_be_written_down_is_kept_and_written_down_later(
    pool: LocalPool,
) -> None:
    _up(pool, "--port", str(free_port()))
    record = pool.folder / "state" / "pool" / "orchestrator.json"
    record.unlink()
    record.mkdir()  # Nothing can be stored in its place.

    _kill_orchestrator(pool)
    _kill_orchestrator(pool)
    record.rmdir()
    wait_for("its record", lambda: record.is_file())
    assert pool.orchestrators() == [pool.record("orchestrator.json")["pid"]]


def test_an_orchestrator_that_was_never_written_down_is_found(pool: LocalPool) -> None:
    _up(pool)
    before = pool.orchestrators()
    pool.processes[0].kill()
    pool.processes[0].wait(10)
    (pool.folder / "state" / "pool" / "orchestrator.json").unlink()

    pool.up()
    wait_for("its adoption", lambda: "orchestrator_adopted" in pool.log)
    wait_for("its record", lambda: (pool.folder / "state/pool/orchestrator.json").is_file())
    assert pool.orchestrators() == before == [pool.record("orchestrator.json")["pid"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_called_off_leaves_no_orchestrator(
    pool: LocalPool, number: signal.Signals
) -> None:
    # The orchestrator waits for its database, so that the start is not over before the signal.
    pool.env["PADDOCK_ORCHESTRATOR_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/none"
    up = pool.up()
    wait_for("an orchestrator", pool.orchestrators)
    assert pool.processes[0].poll() is None
    up.send_signal(number)

    assert up.wait(60) == 130
    assert "stopped before pool 'pool' was up" in pool.log
    assert pool.orchestrators() == []


def test_who_adopts_an_orchestrator_is_told_that_it_keeps_its_port(pool: LocalPool) -> None:
    _up(pool)
    kept = httpx.URL(pool.context.url).port
    pool.processes[0].kill()
    pool.processes[0].wait(10)

    asked = free_port()
    pool.up("--port", str(asked))
    wait_for("what is said of the port", lambda: "port_not_used" in pool.log)
    (line,) = [text for text in pool.log.splitlines() if "port_not_used" in text]
    assert str(asked) in line
    assert str(kept) in line


def test_down_ends_the_pool_it_was_told_and_no_other(pool: LocalPool) -> None:
    (pool.folder / "state" / "other").mkdir(parents=True)

    down = pool.paddock("down", "other")

    assert down.returncode == 1
    assert "declares 'pool'" in down.stderr
    assert "-f FILE" in down.stderr
    assert not (pool.folder / "state" / "pool").exists()


def test_told_to_go_while_it_starts_it_drains_the_runners_that_are_there(pool: LocalPool) -> None:
    port = ("--port", str(free_port()))  # where its runners look for the orchestrator
    _up(pool, *port)
    pool.processes[0].kill()
    pool.processes[0].wait(10)
    for pid in pool.orchestrators():
        os.kill(pid, signal.SIGKILL)
    wait_for("the end of the first", lambda: not pool.orchestrators())

    up = pool.up(*port)
    wait_for("an orchestrator", pool.orchestrators)
    up.send_signal(signal.SIGTERM)

    assert up.wait(60) == 0
    assert list((pool.folder / "state" / "pool" / "runners").glob("*.json")) == []
    assert pool.orchestrators() == []


def test_a_full_disk_ends_no_pool_and_there_are_runners_when_there_is_room(
    pool: LocalPool,
) -> None:
    _up(pool)
    up = psutil.Process(pool.processes[0].pid)
    up.rlimit(psutil.RLIMIT_FSIZE, (0, psutil.RLIM_INFINITY))
    os.kill(pool.serving()[0]["pid"], signal.SIGKILL)
    wait_for("a start that fails", lambda: any("written" in c["exit"] for c in _crashes(pool)))

    up.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    wait_for("a serving runner", pool.serving)
    assert pool.processes[0].poll() is None
