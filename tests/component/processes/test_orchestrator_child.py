"""An orchestrator that does not come up."""

import os
from pathlib import Path

import pytest

from paddock_operator.backends.processes.child import tail
from paddock_operator.backends.processes.orchestrator_child import (
    OrchestratorChild,
    OrchestratorFailed,
)


async def test_a_failed_start_quotes_no_earlier_run(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "orchestrator.log"
    log.parent.mkdir()
    log.write_text("what an earlier one said\n")
    (tmp_path / "orchestrator").write_text("a file where its folder should be")
    env = {**os.environ, "PADDOCK_CONTEXTS": str(tmp_path / "contexts.json")}
    child = OrchestratorChild(name="pool", folder=tmp_path, port=0, env=env)
    child.ensure()

    with pytest.raises(OrchestratorFailed) as failed:
        await child.wait_ready()
    assert "earlier" not in str(failed.value)
    assert str(tmp_path / "orchestrator") in str(failed.value)


def test_the_end_of_a_log_that_was_truncated_meanwhile_is_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    assert tail(log, 5, since=4) == ["two"]
    assert tail(log, 5, since=8) == []
    assert tail(log, 5, since=9) == ["one", "two"]
