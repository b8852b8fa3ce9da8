"""What `paddock run` finds in a file."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paddock.cli.agent_file import inspect_file, load_entrypoint
from paddock.cli.failures import Failure
from unit.cli.conftest import Paddock, is_one_line

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    before = list(sys.path), list(sys.argv)

    def write_(text: str) -> Path:
        path = tmp_path / "agent.py"
        path.write_text(text)
        return path

    yield write_
    sys.path[:], sys.argv[:] = before


def refusal(path: Path) -> str:
    """Why the file cannot be run."""
    with pytest.raises(Failure) as caught:
        load_entrypoint(inspect_file(path))
    return caught.value.message


async def test_a_bot_gets_the_body_and_the_session_s_id(write: Write) -> None:
    """Exactly what the caller passed."""
    path = write("seen = []\nasync def bot(args):\n    seen.append((args.body, args.session_id))\n")
    entrypoint = load_entrypoint(inspect_file(path))
    import asyncio

    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    session = SimpleNamespace(_bridge=SimpleNamespace(over=over))
    await entrypoint(SimpleNamespace(data=["x"], session_id="s-1", session=session))
    bot = cast("Any", entrypoint).__closure__[0].cell_contents
    assert bot.__globals__["seen"] == [(["x"], "s-1")]


@pytest.mark.parametrize(
    "text",
    [
        "async def entrypoint(x): ...\nasync def other(ctx): ...",
        "async def handle_call(ctx): ...",
        "async def whatever(ctx): ...\nasync def helper(a, b): ...",
        "import asyncio\nfrom asyncio import sleep\nasync def talk(context): ...",
    ],
)
def test_the_one_function_that_takes_a_call_is_found(write: Write, text: str) -> None:
    """By name first; what is imported does not count."""
    assert load_entrypoint(inspect_file(write(text))).__name__ in (
        "entrypoint", "handle_call", "whatever", "talk",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1", "no bot: define `async def bot(args)`"),
        ("def bot(args): ...", "agent.py:1: bot is not async: write `async def bot"),
        ("async def bot(): ...", "bot must take one argument"),
        ("async def a(ctx): ...\nasync def b(ctx): ...", "which one takes the call, a, b?"),
        ("x = 1\nasync def bot(args)\n    pass", "agent.py:2: expected ':'"),
        ("\nimport nothing_like_it", "agent.py:2: No module named 'nothing_like_it': install"),
        ("def f():\n    return y\nf()", "agent.py:2: NameError: name 'y' is not defined"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write: Write, text: str, expected: str) -> None:
    """File and line as an editor understands them, and the fix."""
    assert expected in refusal(write(text))


def test_a_file_that_makes_its_own_runner_is_run_as_it_is(write: Write) -> None:
    """Unless it has a bot, whose main part belongs to another framework."""
    own = "from paddock import AgentRunner\nif __name__ == '__main__':\n    AgentRunner(f).start()"
    assert inspect_file(write(own)).starts_itself
    assert not inspect_file(write(f"async def bot(args): ...\n{own}")).starts_itself


def test_the_main_part_of_a_bot_s_file_is_left_alone(write: Write) -> None:
    """It would start a development server of its own."""
    path = write("async def bot(args): ...\nif __name__ == '__main__':\n    raise RuntimeError")
    load_entrypoint(inspect_file(path))


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        (None, 3, "paddock init"),
        ("async def bot(args): ...", 2, "--agent NAME"),
        ("async def bot(args:\n", 1, "agent.py:1"),
    ],
)
def test_run_refuses_in_one_line(
    run: Paddock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    code: int,
    expected: str,
) -> None:
    """No traceback of ours."""
    monkeypatch.delenv("PADDOCK_AGENT_ID", raising=False)
    path = tmp_path / "agent.py"
    if text is not None:
        path.write_text(text)
    result = run("run", str(path))
    assert result.exit_code == code
    assert is_one_line(result.stderr)
    assert expected in result.stderr
