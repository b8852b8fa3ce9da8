"""`paddock doctor` against a real orchestrator, well and not."""

import json
import time
from typing import Any

from component.cli.conftest import Place, Start


def verdicts(text: str) -> dict[str, str]:
    return {one["about"]: one["verdict"] for one in json.loads(text)}


def test_what_is_well_is_said_and_a_runner_is_missed(place: Place) -> None:
    done = place.paddock("doctor", "-o", "json")
    found = verdicts(done.stdout)
    assert done.returncode == 0, done.stdout
    well = ("orchestrator", "version", "clock", "readiness", "private key", "public key")
    assert {about: found[about] for about in well} == dict.fromkeys(well, "ok")
    assert found["runner key"] == "ok"
    assert found["runners"] == "doubtful"


def test_a_runner_is_seen(place: Place, start: Start) -> None:
    place.paddock("init", "--force")
    start("run", "agent.py", "--agent", "desk").until("registered")
    done = place.paddock("doctor")
    assert "ok     runners: 1 connected, of desk" in done.stdout
    assert done.returncode == 0


def test_nobody_at_the_address_is_wrong_and_says_how_to_mend_it(place: Place) -> None:
    done = place.paddock("doctor", "--url", "http://127.0.0.1:9", "--api-key", "sk_none")
    assert done.returncode == 1
    assert "WRONG  orchestrator: no orchestrator at http://127.0.0.1:9" in done.stdout
    assert "mend: start it" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_key_that_is_not_known_is_wrong(place: Place) -> None:
    done = place.paddock("doctor", "--api-key", "sk_wrong")
    assert done.returncode == 1
    assert "WRONG  private key:" in done.stdout


def test_a_public_key_that_was_revoked_is_wrong_until_another_is_chosen(place: Place) -> None:
    def key(*args: str) -> Any:
        return json.loads(place.paddock("organizations", "keys", *args, "-o", "json").stdout)

    old = place.paddock("organizations", "keys", "create", "old").returncode
    assert old == 0
    assert place.paddock("organizations", "keys", "use", "old").returncode == 0
    context = place.folder / "contexts.json"
    kept = context.read_text()
    assert place.paddock("organizations", "keys", "revoke", "old").returncode == 0
    revoked = context.read_text()
    context.write_text(kept)
    done = place.paddock("doctor")
    assert done.returncode == 1
    assert "WRONG  public key: old was revoked" in done.stdout
    context.write_text(revoked)
    key("create", "new")
    assert place.paddock("organizations", "keys", "use", "new").returncode == 0
    assert "ok     public key: new starts sessions" in place.paddock("doctor").stdout


def test_a_cluster_that_cannot_be_reached_is_wrong_before_anybody_wonders(place: Place) -> None:
    nowhere = place.folder / "kubeconfig"
    nowhere.write_text(
        json.dumps(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )  # fmt: skip
    began = time.monotonic()
    done = place.paddock("doctor", "--kubeconfig", str(nowhere))
    assert time.monotonic() - began < 20
    assert done.returncode == 1
    assert "WRONG  cluster:" in done.stdout
    assert "ok     orchestrator:" in done.stdout
    assert "Traceback" not in done.stderr
