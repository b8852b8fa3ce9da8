"""Help, exit codes and failures of the whole command."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest

from fakes.http_server import FakeHttpServer, Told
from paddock.cli import group
from paddock.cli.failures import explain
from paddock.cli.main import EXTRAS, OWN
from paddock.errors import ChannelLost
from unit.cli.conftest import Paddock, is_one_line


def commands() -> list[tuple[str, ...]]:
    """Every command of ours, groups' subcommands too."""
    from paddock.cli.main import paddock

    found: list[tuple[str, ...]] = []

    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        found.append(path)
        if isinstance(command, click.Group):
            for name, each in command.commands.items():
                walk(each, (*path, name))

    ctx = click.Context(paddock)
    for name in OWN:
        command = paddock.get_command(ctx, name)
        assert command is not None
        walk(command, (name,))
    return found


def test_help_lists_every_command_and_exit_code(run: Paddock) -> None:
    """Those of absent extras too."""
    result = run("--help")
    assert result.exit_code == 0
    for name in (*OWN, *EXTRAS, "75", "at capacity (429)"):
        assert name in result.output


def test_help_imports_nothing_heavy() -> None:
    """It must answer at once."""
    code = (
        "import sys\nfrom paddock.cli.main import paddock\n"
        "try: paddock(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'httpx', 'rich', 'websockets', 'msgspec', 'yaml', 'fastapi', 'pydantic'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(run: Paddock, path: tuple[str, ...]) -> None:
    """And a sentence of its own."""
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"paddock {path[0]}" in result.output.partition("Example:")[2]


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (429, "at_capacity", 75),
        (503, "no_runners", 75),
        (504, "start_timeout", 75),
        (404, "unknown_agent", 3),
        (401, "bad_key", 4),
        (403, "wrong_scope", 4),
        (422, "idempotency_mismatch", 1),
        (500, "internal", 1),
    ],
)
def test_a_refusal_sets_the_exit_code(
    run: Paddock, server: FakeHttpServer, status: int, reason: str, code: int
) -> None:
    """One line on stderr, nothing on stdout."""
    server.refuse("POST /v1/public/echo/start", status, reason, Retry_After="30")
    result = run("agent", "start", "echo")
    assert result.exit_code == code
    assert result.stdout == ""
    assert is_one_line(result.stderr)
    assert reason in result.stderr
    assert "Try again in 30 s" in result.stderr


def test_no_server_exits_with_5(run: Paddock) -> None:
    """And says how to start one."""
    result = run("status", "--url", "http://127.0.0.1:9", "--api-key", "sk_x")
    assert result.exit_code == 5
    assert "paddock orchestrator" in result.stderr


def test_no_key_exits_with_4(run: Paddock) -> None:
    """Before anything is asked."""
    result = run("status", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 4
    assert "--api-key" in result.stderr


@pytest.mark.parametrize("args", [("frobnicate",), ("status", "--nope"), ("call",), ("--nope",)])
def test_wrong_usage_is_one_line_that_names_the_help(run: Paddock, args: tuple[str, ...]) -> None:
    """Exit code 2."""
    result = run(*args)
    assert result.exit_code == 2
    assert is_one_line(result.stderr)
    assert "--help" in result.stderr


@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_an_absent_extra_answers_with_the_install_line(
    run: Paddock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever options the command would have taken, --help included."""
    monkeypatch.setattr(group, "entry_points", lambda **_: ())
    for args in ((name,), (name, "-f", "x.yaml"), (name, "--help")):
        result = run(*args)
        assert result.exit_code == 1
        assert "pip install 'paddock[all]'" in result.stderr


def test_an_extra_that_cannot_be_imported_says_what_is_missing(
    run: Paddock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is there, what it needs is not."""
    point = EntryPoint("up", "no_such_module_here:up", "paddock.commands")
    monkeypatch.setattr(group, "entry_points", lambda **_: (point,))
    result = run("up")
    assert is_one_line(result.stderr)
    assert "no_such_module_here" in result.stderr
    assert "pip install 'paddock[all]'" in result.stderr


def test_the_unexpected_is_one_line_unless_debugging(
    run: Paddock, server: FakeHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PADDOCK_DEBUG=1 lets the traceback through."""
    server.tell("GET /v1/agents", Told(body=[]))
    monkeypatch.setattr("paddock.cli.status.show", lambda *_, **__: 1 / 0)
    result = run("status")
    assert result.exit_code == 1
    assert is_one_line(result.stderr)
    assert "ZeroDivisionError" in result.stderr
    monkeypatch.setenv("PADDOCK_DEBUG", "1")
    assert isinstance(run("status").exception, ZeroDivisionError)


def test_interruption_is_quiet(
    run: Paddock, server: FakeHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130 and not a word."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    server.tell("GET /v1/agents", Told(body=[]))
    monkeypatch.setattr("paddock.cli.status.show", interrupt)
    result = run("status")
    assert (result.exit_code, result.output.strip()) == (130, "")


def test_a_group_of_failures_is_told_by_its_first() -> None:
    """Task groups wrap what happens in them."""
    group_ = ExceptionGroup("x", [ExceptionGroup("y", [ChannelLost("gone")])])
    assert explain(group_).message == "gone"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Paddock, shell: str) -> None:
    """That asks this very command."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_PADDOCK_COMPLETE" in result.output


def test_the_version_is_the_package_s(run: Paddock) -> None:
    """By command and by option."""
    import paddock

    for args in (("version",), ("--version",)):
        assert run(*args).output == f"paddock {paddock.__version__}\n"


def test_wrong_usage_outside_a_command_still_names_the_help() -> None:
    """A failure without a context falls back on the root."""
    failure = explain(click.UsageError("wrong"))
    assert (failure.message, failure.exit_code) == ("wrong. See: paddock --help", 2)


RUN = ("run", "bot.py", "--agent", "a")


@pytest.mark.parametrize(
    ("args", "source"),
    [
        (("status", "--api-key", "sk_x", "--url", "http://127.0.0.1:99999"), "url: got"),
        (("status", "--api-key", "sk_x", "--url", "http://[::::]"), "url: got"),
        (("status", "--api-key", "sk_x", "--url", "http://xn--a"), "url: got"),
        (("status", "--api-key", "sk_é"), "api_key: no key has"),
        (("agent", "list", "--api-key", "sk_a\nb"), "api_key: no key has"),
        (("context", "add", "x", "--url", "not a url"), "--url: got 'not a url'"),
        (("context", "add", "x", "--url", "a.example", "--key", "sk_é"), "--key: no key has"),
        ((*RUN, "--api-key", "rk_a b"), "PADDOCK_API_KEY: no key has"),
        ((*RUN, "--api-key", "rk_a", "--url", "a b"), "PADDOCK_BASE_URL: got"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_a_bad_address_or_key_is_wrong_usage_said_in_one_line(
    run: Paddock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    args: tuple[str, ...],
    source: str,
) -> None:
    """And nothing is kept of it."""
    monkeypatch.chdir(tmp_path)
    for name in ("AGENT_ID", "BASE_URL", "API_KEY"):  # `run` hands on through these.
        monkeypatch.setenv(f"PADDOCK_{name}", "")
    Path("bot.py").write_text("async def bot(args):\n    pass\n")
    result = run(*args)
    assert result.exit_code == 2
    assert is_one_line(result.stderr)
    assert result.stderr.startswith(f"Error: {source}")
    assert not Path("contexts.json").exists()
