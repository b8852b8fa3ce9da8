"""A conversation in the terminal: the agent's words as they stream, the caller's by line."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import click

from paddock.errors import SessionEnded

if TYPE_CHECKING:
    from paddock.client.text import AgentEvent, Ending, TextChannel

GREETING_S = 1.0
"""A scripted caller lets the agent greet for so long before it speaks."""
SETTLE_S = 0.25
"""A reply is over when nothing follows its end for so long."""
ANSWER_TIMEOUT_S = 15.0


class Screen:
    """Prints what the agent does. A reply in parts becomes one line."""

    def __init__(self) -> None:
        self._open = False
        self.heard = asyncio.Event()
        """Set by anything the agent says."""
        self.turn_over = asyncio.Event()

    def show(self, event: "AgentEvent") -> None:
        from paddock.client import text

        match event:
            case text.AgentSay(text=words):
                self._close()
                click.echo(f"agent: {words}")
                self._said(over=True)
            case text.AgentTextDelta(text=words):
                if not self._open:
                    click.echo("agent: ", nl=False)
                    self._open = True
                click.echo(words, nl=False)
                sys.stdout.flush()
                self._said(over=False)
            case text.AgentTextEnd():
                self._close()
                self._said(over=True)
            case text.AgentInterrupt():
                self._close(" …")
            case text.AgentTransfer():
                self.note(f"transferred to {event.transfer_type} {event.target}")
            case text.AgentRecording():
                self.note(f"recording {event.action}d" if event.action[-1] == "e" else "recording")

    def note(self, words: str) -> None:
        """Something about the call that nobody said."""
        self._close()
        click.echo(click.style(f"[{words}]", dim=True))

    def ended(self, ending: "Ending") -> None:
        detail = f" ({ending.detail})" if ending.detail else ""
        self.note(f"ended: {ending.reason}{detail}")

    def _said(self, *, over: bool) -> None:
        self.heard.set()
        if over:
            self.turn_over.set()

    def _close(self, tail: str = "") -> None:
        if self._open:
            click.echo(tail)
            self._open = False


async def converse(
    channel: "TextChannel", lines: AsyncIterator[str] | Sequence[str], *, scripted: bool
) -> "Ending":
    """Talk until the call ends or the lines do, which hangs up; how it ended.

    A scripted caller waits for each answer before the next line.
    """
    from paddock.client.text import Ending

    screen = Screen()
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_listen(channel, screen))
        speaking = group.create_task(_speak(channel, screen, lines, scripted=scripted))
        await asyncio.wait((listening, speaking), return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            speaking.cancel()
        else:
            await channel.hangup()
            await asyncio.wait((listening,), timeout=ANSWER_TIMEOUT_S)
            listening.cancel()
    ending = channel.ended or Ending("error", "no end was told")
    screen.ended(ending)
    return ending


async def _listen(channel: "TextChannel", screen: Screen) -> None:
    async for event in channel:
        screen.show(event)


async def _speak(
    channel: "TextChannel",
    screen: Screen,
    lines: AsyncIterator[str] | Sequence[str],
    *,
    scripted: bool,
) -> None:
    if scripted:
        await _until(screen.heard, GREETING_S)
        await _settled(screen)
    try:
        async for line in _each(lines):
            if not line.strip():
                continue
            screen.turn_over.clear()
            if scripted:
                screen.note(f"you: {line}")
            await channel.say(line)
            if scripted and await _until(screen.turn_over, ANSWER_TIMEOUT_S):
                await _settled(screen)
    except SessionEnded:
        return


async def _each(lines: AsyncIterator[str] | Sequence[str]) -> AsyncIterator[str]:
    if isinstance(lines, Sequence):
        for line in lines:
            yield line
    else:
        async for line in lines:
            yield line


async def _settled(screen: Screen) -> None:
    screen.heard.clear()
    while await _until(screen.heard, SETTLE_S):
        screen.heard.clear()


async def _until(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


class TypedLines:
    """Lines of standard input until its end. Outlives the call that reads from it.

    Read in a daemon thread: a terminal's read cannot be cancelled, and must not delay the exit.
    """

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.at_end = False
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def __aiter__(self) -> "TypedLines":
        return self

    async def __anext__(self) -> str:
        line = None if self.at_end else await self._lines.get()
        if line is None:
            self.at_end = True
            raise StopAsyncIteration
        return line

    def _read(self) -> None:
        try:
            for line in sys.stdin:
                self._put(line.rstrip("\n"))
            self._put(None)
        except (RuntimeError, ValueError):
            return  # the loop, or standard input, is gone: nobody waits for the line

    def _put(self, line: str | None) -> None:
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
