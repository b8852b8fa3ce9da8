"""What `paddock up` and `paddock down` are given and cannot use."""

from pathlib import Path

import pytest

from unit.cli.conftest import Paddock
from unit.cli.test_validate import pool


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PADDOCK_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("command", ["up", "down", "validate"])
def test_a_manifest_that_is_not_utf_8_is_named_with_its_line(
    run: Paddock, tmp_path: Path, command: str
) -> None:
    (tmp_path / "m.yaml").write_bytes(pool().encode() + b"# caf\xe9\n")
    result = run(command, "-f", "m.yaml")
    assert result.exit_code == 1
    assert f"m.yaml:{len(pool().splitlines()) + 1}: expected UTF-8" in result.stderr
    assert "unexpected" not in result.stderr


def test_an_env_file_that_is_not_utf_8_is_named(run: Paddock, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(pool())
    (tmp_path / "secrets").write_bytes(b"A=1\nB=caf\xe9\n")
    result = run("up", "-f", "m.yaml", "--env-file", "secrets")
    assert result.exit_code == 1
    assert "secrets:2: expected UTF-8" in result.stderr
    assert "unexpected" not in result.stderr


def test_a_manifest_that_is_not_utf_8_is_named_where_down_was_told_the_pool(
    run: Paddock, tmp_path: Path
) -> None:
    (tmp_path / "agentdeployment.yaml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "state" / "desk").mkdir(parents=True)
    result = run("down", "desk")
    assert result.exit_code == 1
    assert "agentdeployment.yaml:1: expected UTF-8" in result.stderr
