"""`paddock init`."""

from pathlib import Path

import pytest
import yaml

from paddock.cli.agent_file import inspect_file, load_entrypoint
from unit.cli.conftest import Paddock


def test_the_files_fit_each_other_and_work(run: Paddock, tmp_path: Path) -> None:
    """The manifest runs the file, and the file has an entrypoint."""
    folder = tmp_path / "new"
    assert run("init", str(folder), "--name", "billing").exit_code == 0
    manifest = yaml.safe_load((folder / "agentdeployment.yaml").read_text())
    assert manifest["metadata"]["name"] == "billing"
    command = manifest["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command == ["paddock", "run", "agent.py"]
    assert load_entrypoint(inspect_file(folder / "agent.py")).__name__ == "entrypoint"


def test_nothing_is_overwritten_unless_forced(run: Paddock, tmp_path: Path) -> None:
    """Not even one of the two."""
    (tmp_path / "agent.py").write_text("mine")
    refused = run("init", str(tmp_path))
    assert (refused.exit_code, "--force" in refused.stderr) == (1, True)
    assert (tmp_path / "agent.py").read_text() == "mine"
    assert not (tmp_path / "agentdeployment.yaml").exists()
    assert run("init", str(tmp_path), "--force").exit_code == 0


@pytest.mark.parametrize("name", ["Billing", "a_b", "-a", "a" * 64])
def test_a_name_that_no_pool_may_have_is_refused(run: Paddock, tmp_path: Path, name: str) -> None:
    """With what is expected."""
    result = run("init", str(tmp_path), f"--name={name}")
    assert (result.exit_code, "lower-case" in result.stderr) == (2, True)
