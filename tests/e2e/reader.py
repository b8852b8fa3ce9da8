"""Somebody who types what stands in a page."""

import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.pages import Block
from testbed.waiting import wait_until

LEAVE_S = 60.0
_STAYS = {
    "kubectl .*port-forward": "Forwarding",
    "paddock up": "creating",
    "paddock run ": "registered",
    "paddock logs .*--follow": " | ",
    "paddock orchestrator": "listening",
    "paddock operator(?!.*--dry-run)": "leadership_acquired",
}
"""Commands that need a terminal of their own, and what they say when they are at work."""
_UNSTEADY = re.compile(r"^\d\d:\d\d:[\d.]+ |[\d…].*|\.\.\..*")
"""What differs from time to time: a line's time, and the rest from its first figure on."""


class Reader:
    """A person at a shell in `folder`. `words`: what is put in the place of what a page has."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], *, logs: Path, patience_s: float = 120
    ) -> None:
        """`logs`: where the output of commands that stay goes; `patience_s`: how long a block may
        take."""
        self.folder = folder
        self._logs = logs
        self.environ = dict(environ)
        self.words: dict[str, str] = {}
        self._patience_s = patience_s
        self._heard: dict[str, str] = {}
        """By command that was typed: what its block said."""
        self._away: list[subprocess.Popen[str]] = []

    def types(self, block: Block, *, ends: int = 0) -> None:
        """To the end of the block, or until its last command, which stays, is at work. A
        transcript of one command that was typed before is compared with what that said.

        AssertionError when it ends otherwise, or does not say what the page shows.
        """
        commands = self._worded(block.commands)
        lines = [re.sub(" +# .*", "", line) for line in commands.splitlines()]
        if block.language == "sh" or len(lines) > 1 or lines[0] not in self._heard:
            works = next((says for each, says in _STAYS.items() if re.match(each, lines[-1])), None)
            said = self._stays(block, lines, works) if works else self._ends(block, commands, ends)
            self._heard |= dict.fromkeys(lines, said)
        self._compare(block, self._heard[lines[-1]])

    def _worded(self, text: str) -> str:
        for pattern, word in self.words.items():
            text = re.sub(pattern, word, text)
        return text

    def _ends(self, block: Block, commands: str, code: int) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], env=self.environ, cwd=self.folder,
            text=True, capture_output=True, timeout=self._patience_s, check=False,
            input=_typed(block),
        )  # fmt: skip
        said = f"{block.place} ended with {done.returncode}:\n{commands}\n"
        assert done.returncode == code, f"{said}{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def _stays(self, block: Block, lines: Sequence[str], works: str) -> str:
        log = self._logs / f"terminal-{len(self._away)}.log"
        commands = "\n".join([*lines[:-1], f"exec {lines[-1]}"])
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-euc", commands], env=self.environ, cwd=self.folder, text=True,
                stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.PIPE,
                preexec_fn=_hears_ctrl_c,
            )  # fmt: skip
        self._away.append(process)
        assert process.stdin is not None
        with process.stdin as typed:
            typed.write(_typed(block))

        def at_work() -> bool:
            assert process.poll() is None, f"{block.place}: {log.read_text()}"
            return works in log.read_text()

        wait_until(f"{block.place} at work", at_work, within_s=self._patience_s, log=log)
        return log.read_text()

    def _compare(self, block: Block, output: str) -> None:
        """In order, and as far as it is the same each time.

        A caller's own words are anywhere: an agent that is slow to greet does so after them.
        """
        whole = rest = " ".join(output.split())
        for line in block.said:
            steady = " ".join(self._worded(_UNSTEADY.sub("", line)).split())
            if not steady or line.startswith("you: "):
                continue
            if line.startswith("[you: "):
                assert steady in whole, f"{block.place}: {line!r} is not in\n{output}"
                continue
            assert steady in rest, f"{block.place}: {line!r} is not in\n{output}"
            rest = rest.partition(steady)[2]

    def leaves(self) -> None:
        """Ctrl-C in every terminal, and the commands end. One that ended before did so with 0."""
        before = [process.poll() for process in self._away]
        for process in self._away:
            process.send_signal(signal.SIGINT)
        for process in self._away:
            process.wait(timeout=LEAVE_S)
        assert set(before) <= {None, 0}


def _hears_ctrl_c() -> None:
    """Whoever runs the tests in the background ignores it, and so would what is started here."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _typed(block: Block) -> str:
    """What the transcript shows as typed; then Ctrl-D."""
    return "".join(
        line.removeprefix("you: ") + "\n" for line in block.said if line.startswith("you: ")
    )
