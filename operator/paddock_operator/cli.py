"""`paddock up`, `down`, `validate` and `logs`."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from paddock import logs as log_output
from paddock.cli.failures import Failure
from paddock.cli.options import output_option
from paddock.cli.output import show
from paddock.state_dir import state_dir
from paddock_operator.backends.processes.child import tail
from paddock_operator.backends.processes.claim import AlreadyUp, supervisor
from paddock_operator.backends.processes.local_pool import (
    LocalPool,
    Options,
    PortTaken,
    StartCalledOff,
)
from paddock_operator.backends.processes.orchestrator_child import OrchestratorFailed
from paddock_operator.model.manifest import KIND
from paddock_operator.model.parse import (
    Checked,
    ManifestError,
    Problem,
    check_documents,
    decoded,
    parse_manifest,
)
from paddock_operator.model.schema import json_schema

INTERRUPTED = 130
DEFAULT_FILE = "agentdeployment.yaml"
_file = click.option(
    "-f", "--file", "path", type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_FILE, show_default=True, help="The AgentDeployment manifest.",
)  # fmt: skip


@click.command(epilog="Example: paddock up -f agentdeployment.yaml")
@_file
@click.option("--port", type=int, default=8600, show_default=True, help="0: any free port.")
@click.option(
    "--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="NAME=VALUE lines, for variables the manifest takes from secrets or config maps.",
)  # fmt: skip
@click.option("--keep-orchestrator", is_flag=True, help="Leave it running when the pool is down.")
@click.option("--metrics-port", type=int, help="Show the pool's /metrics there. 0: any free port.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
def up(
    path: Path,
    port: int,
    env_file: Path | None,
    keep_orchestrator: bool,
    metrics_port: int | None,
    log_format: str,
) -> None:
    """Run a manifest's pool on this machine: orchestrator, runners, scaling, roll-outs.

    Follows the file: save it, and the pool follows. Ctrl-C drains (calls are waited for), a second
    Ctrl-C forces. Started again after a crash, it adopts the runners that are still there.
    """
    log_output.configure(log_format, "info")
    options = Options(
        manifest_path=path,
        state_dir=state_dir(os.environ),
        port=port,
        env=dict(os.environ),
        given=_read_env(env_file),
        keep_orchestrator=keep_orchestrator,
        metrics_port=metrics_port,
    )
    try:
        asyncio.run(LocalPool(options).run())
    except FileNotFoundError:
        raise click.ClickException(
            f"{path}: no such file; `paddock init` writes one, -f names another"
        ) from None
    except ManifestError as why:
        raise click.ClickException(f"the manifest is refused\n{why}") from None
    except (AlreadyUp, PortTaken, OrchestratorFailed) as why:
        raise click.ClickException(str(why)) from None
    except StartCalledOff as why:
        raise Failure(str(why), INTERRUPTED) from None


@click.command(epilog="Example: paddock down support-en --timeout 600")
@click.argument("pool", required=False)
@_file
@click.option("--timeout", "timeout_s", type=float, help="Give up waiting after so many seconds.")
@click.option("--force", is_flag=True, help="End live calls instead of waiting for them.")
def down(pool: str | None, path: Path, timeout_s: float | None, force: bool) -> None:
    """End a local pool: its runners finish their calls and leave, then everything stops.

    Works from any terminal, and also when `paddock up` itself was killed: then the runners that
    were left behind are adopted and drained.
    """
    log_output.configure("text", "info")
    name = pool or _manifest_name(path)
    folder = state_dir(os.environ) / name
    if not folder.is_dir():
        raise click.ClickException(f"no pool {name!r} under {folder.parent}")
    running = supervisor(folder)
    if running is None:
        _drain_leftovers(path, name)
        return
    running.signal(signal.SIGTERM)
    if force:
        time.sleep(0.2)
        running.signal(signal.SIGTERM)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    said_at = 0.0
    while running.alive():
        now = time.monotonic()
        if deadline is not None and now > deadline:
            raise click.ClickException(f"{name!r} is still draining; it goes on without you")
        if now - said_at > 5.0:
            click.echo(f"waiting for the calls of {name!r} to end ...", err=True)
            said_at = now
        time.sleep(0.1)
    click.echo(f"{name} is down")


def _drain_leftovers(path: Path, name: str) -> None:
    """`paddock up` is gone: do its leaving for it."""
    if not path.exists():
        raise click.ClickException(f"{name!r} is not up; to drain what it left, give its -f FILE")
    declared = _manifest_name(path)
    if declared != name:
        raise click.ClickException(
            f"{name!r} is not up, and {path} declares {declared!r}; "
            f"to drain what {name!r} left, give its own -f FILE"
        )
    options = Options(path, state_dir(os.environ), 0, dict(os.environ), _Anything())
    try:
        asyncio.run(LocalPool(options).run(draining=True))
    except (ManifestError, AlreadyUp, OrchestratorFailed) as why:
        raise click.ClickException(str(why)) from None
    except StartCalledOff as why:
        raise Failure(str(why), INTERRUPTED) from None
    click.echo(f"{name} is down")


class _Anything(dict[str, str]):
    """Draining starts nothing, so no variable of the template is missing."""

    def __contains__(self, _: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


@click.command(epilog="Example: paddock validate -f agentdeployment.yaml")
@_file
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a manifest, for editors.")
@output_option
def validate(path: Path, schema: bool, output: str) -> None:
    """Apply every rule of each document of the manifest, offline. Exit code 1 when one is broken.

    AgentDeployments and OrchestratorConnections, as many as there are.
    """
    if schema:
        click.echo(json.dumps(json_schema(), indent=2))
        return
    try:
        stdin = str(path) == "-"
        text = sys.stdin.read() if stdin else decoded(path.read_bytes(), source=str(path))
    except (OSError, UnicodeDecodeError) as why:
        raise click.ClickException(f"{path}: {why}") from None
    except ManifestError as why:
        raise click.ClickException(str(why)) from None
    checked = check_documents(text, source=str(path))
    problems = tuple(problem for each in checked for problem in each.problems)
    if output == "table":
        _say_checked(path, checked)
    else:
        documents = [_document(each) for each in checked]
        answer = {"valid": not problems, "documents": documents, "problems": _problems(problems)}
        show(answer, output, ())
    if problems:
        raise SystemExit(1)


def _say_checked(path: Path, checked: list[Checked]) -> None:
    for each in checked:
        if each.problems:
            click.echo(str(ManifestError(each.problems)), err=True)
        else:
            kind = "" if each.kind == KIND else f"{each.kind} "
            click.echo(f"{path}: {kind}{each.name} is valid")


def _document(checked: Checked) -> dict[str, object]:
    return {"kind": checked.kind, "name": checked.name, "valid": not checked.problems}


def _problems(problems: tuple[Problem, ...]) -> list[dict[str, object]]:
    return [
        {
            "file": p.source,
            "line": p.line,
            "field": p.field,
            "value": repr(p.value),
            "rule": p.rule,
            "message": p.message,
            "fix": p.fix,
        }
        for p in problems
    ]


@click.command(epilog="Example: paddock logs support-en --runner support-en-5f9c1a2b-01c2d3 -f")
@click.argument("agent")
@click.option("--runner", help="One runner only; the start of its id is enough.")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written.")
@click.option("-n", "--lines", default=50, show_default=True, help="Last lines of each runner.")
def logs(agent: str, runner: str | None, follow: bool, lines: int) -> None:
    """What the runners of a local pool wrote, one file a runner."""
    folder = state_dir(os.environ) / agent / "logs"
    paths = _log_files(folder, runner)
    if not paths and not follow:
        what = f"runner {runner!r}" if runner else "any runner"
        raise click.ClickException(f"no output of {what} of {agent!r} under {folder}")
    for path in paths:
        for line in tail(path, lines):
            click.echo(f"{path.stem} | {line}")
    if follow:
        for line in _followed(folder, runner):
            click.echo(line)


def _log_files(folder: Path, runner: str | None) -> list[Path]:
    found = sorted(folder.glob("*.log"), key=lambda p: p.stat().st_mtime)
    return [p for p in found if runner is None or p.stem.startswith(runner)]


def _followed(folder: Path, runner: str | None) -> Iterator[str]:
    """New lines of all logs, for ever. A log that was truncated is read from its start."""
    at = {path: path.stat().st_size for path in _log_files(folder, runner)}
    while True:
        for path in _log_files(folder, runner):
            size = path.stat().st_size
            start = at.get(path, 0)
            if size < start:
                start = 0
            if size > start:
                with open(path, "rb") as file:
                    file.seek(start)
                    data = file.read(size - start)
                whole, newline, _ = data.rpartition(b"\n")
                at[path] = start + len(whole) + len(newline)
                for line in whole.decode("utf-8", "replace").splitlines():
                    yield f"{path.stem} | {line}"
            else:
                at[path] = size
        time.sleep(0.2)


def _manifest_name(path: Path) -> str:
    try:
        return parse_manifest(decoded(path.read_bytes(), source=str(path)), source=str(path)).name
    except FileNotFoundError:
        raise click.ClickException(f"name the pool, or its manifest with -f ({path}?)") from None
    except ManifestError as why:
        raise click.ClickException(str(why)) from None


def _read_env(path: Path | None) -> dict[str, str]:
    """NAME=VALUE lines; blank lines and `#` comments are skipped."""
    values: dict[str, str] = {}
    if path is None:
        return values
    try:
        lines = decoded(path.read_bytes(), source=str(path)).splitlines()
    except ManifestError as why:
        raise click.ClickException(str(why)) from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.ClickException(f"{path}:{number}: got {text!r}, expected NAME=VALUE")
        values[name.strip()] = value.strip().strip("'\"")
    return values
