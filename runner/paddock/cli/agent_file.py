"""An agent's Python file: what is in it, and running it."""

import ast
import inspect
import os
import runpy
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.cli.failures import NOT_FOUND, Failure

Entrypoint = Callable[[Any], Awaitable[None]]
_NAMES = ("entrypoint", "handle_call")
_FIRST = frozenset({"ctx", "context", "call"})
_WHAT_TO_DEFINE = "define `async def bot(args)` or `async def entrypoint(ctx)`"


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A file that parses. `starts_itself`: it makes its own AgentRunner, so it is run as it is."""

    path: Path
    has_bot: bool
    starts_itself: bool


def inspect_file(path: Path) -> AgentFile:
    """Read and parse a file without running it. A `Failure` says file, line and fix."""
    try:
        source = path.read_text()
    except FileNotFoundError:
        raise Failure(
            f"no file {str(path)!r}: `paddock init` writes a first agent", NOT_FOUND
        ) from None
    except (OSError, UnicodeDecodeError) as why:
        raise Failure(f"{path} cannot be read: {why}") from None
    try:
        tree = ast.parse(source, str(path))
    except SyntaxError as why:
        line = (why.text or "").strip()
        raise Failure(f"{path}:{why.lineno}: {why.msg}" + (f": {line}" if line else "")) from None
    names = {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    makes_runner = any(
        isinstance(node, ast.Call) and _name(node.func) == "AgentRunner" for node in ast.walk(tree)
    )
    return AgentFile(path, "bot" in names, makes_runner and "bot" not in names)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def load_entrypoint(file: AgentFile) -> Entrypoint:
    """Import the file and find its `bot`, else its entrypoint. A `Failure` says what is wrong."""
    found = _run(file.path, file.path.stem)
    own = {
        name: value
        for name, value in found.items()
        if inspect.isfunction(value) and value.__module__ == file.path.stem
    }
    if "bot" in own:
        from paddock.bot import as_entrypoint

        return as_entrypoint(_checked(file.path, "bot", own["bot"]))
    for name in _NAMES:
        if name in own:
            return _checked(file.path, name, own[name])
    candidates = {n: f for n, f in own.items() if inspect.iscoroutinefunction(f) and _takes_call(f)}
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if candidates:
        names = ", ".join(sorted(candidates))
        raise Failure(f"{file.path}: which one takes the call, {names}? Name it `entrypoint`")
    raise Failure(f"{file.path}: no bot: {_WHAT_TO_DEFINE}")


def start_itself(file: AgentFile) -> None:
    """Run the file as a program; a runner that it makes but does not start is started here."""
    from paddock.runner import AgentRunner

    started: list[AgentRunner] = []
    original = AgentRunner.run

    async def run(self: AgentRunner) -> None:
        started.append(self)
        await original(self)

    AgentRunner.run = run  # type: ignore[method-assign]
    found = _run(file.path, "__main__")
    if started:
        return
    runners = [value for value in found.values() if isinstance(value, AgentRunner)]
    if not runners:
        raise Failure(f"{file.path}: it makes no AgentRunner when it is run: {_WHAT_TO_DEFINE}")
    runners[0].start()


def _run(path: Path, name: str) -> dict[str, Any]:
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.argv = [str(path)]
    try:
        return runpy.run_path(str(path), run_name=name)
    except Exception as why:
        if os.environ.get("PADDOCK_DEBUG") == "1":
            raise
        raise Failure(_where(path, why)) from None


def _where(path: Path, why: Exception) -> str:
    """`agent.py:7: NameError: name 'x' is not defined`."""
    lines = [f.lineno for f in traceback.extract_tb(why.__traceback__) if f.filename == str(path)]
    at = f"{path}:{lines[-1]}" if lines else str(path)
    if isinstance(why, ImportError) and why.name:
        return f"{at}: {why}: install what provides {why.name!r}, or correct the name"
    return f"{at}: {type(why).__name__}: {why}"


def _checked(path: Path, name: str, function: Any) -> Entrypoint:
    line = function.__code__.co_firstlineno
    if not inspect.iscoroutinefunction(function):
        raise Failure(f"{path}:{line}: {name} is not async: write `async def {name}(...)`")
    if not _takes_one(function):
        raise Failure(f"{path}:{line}: {name} must take one argument")
    checked: Entrypoint = function
    return checked


def _takes_one(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    return True


def _takes_call(function: Any) -> bool:
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or not _takes_one(function):
        return False
    shown = getattr(first.annotation, "__name__", str(first.annotation))
    return first.name in _FIRST or shown == "CallContext"
