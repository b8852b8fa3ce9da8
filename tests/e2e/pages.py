"""The shell commands of every page, and which test runs them.

A block fenced as `sh` is run as it stands. One fenced as `console` is a transcript: its commands
begin with `$`, what they say follows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.places import CHECKOUT

ON_A_CLUSTER = "e2e/test_docs.py"
BESIDE_A_CLUSTER = "cluster/pools/test_cli_page.py"
ON_ONE_MACHINE = "e2e/test_transcripts.py"
COPIES = "component/test_backup.py"
KNOWN = "e2e/test_known_commands.py"
"""The tests that have blocks."""

RUN_BY: Final[dict[str, dict[str, str]]] = {
    "AGENTS.md": {"": KNOWN},
    "README.md": {
        "A fresh machine": KNOWN, "On a cluster in five commands": KNOWN, "": ON_ONE_MACHINE,
    },
    "docs/backup.md": {"": COPIES, "SQLite on Kubernetes": ON_A_CLUSTER},
    "docs/cli.md": {
        "": ON_ONE_MACHINE,
        **{
            f"`paddock {name}`": BESIDE_A_CLUSTER
            for name in ("operator", "explain", "crds", "may-uninstall")
        },
    },
    "docs/install.md": {"": ON_A_CLUSTER},
    "docs/operations.md": {"": ON_A_CLUSTER},
    "docs/testbed.md": {"": KNOWN},
}  # fmt: skip
"""By page and heading; "" is any other heading."""
_FENCE = re.compile(r"^```(.*)$")
_SHELL = ("sh", "console")
_OTHER = ("dockerfile", "python", "text", "yaml")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands that a reader runs at once."""

    page: str
    line: int
    section: str
    """The heading that it stands under."""
    language: str
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line} ({self.section})"

    @property
    def commands(self) -> str:
        return "\n".join(line for line, told in self._sorted() if told)

    @property
    def said(self) -> tuple[str, ...]:
        """What a transcript shows beside its commands."""
        return tuple(line for line, told in self._sorted() if not told)

    def _sorted(self) -> Iterator[tuple[str, bool]]:
        """Each line, and whether it is a command's."""
        goes_on = False
        for line in self.lines:
            told = goes_on or line.startswith("$ ") or self.language != "console"
            goes_on = told and line.endswith("\\")
            yield line.removeprefix("$ ") if told else line, told


def pages() -> list[Path]:
    """Every page of the repository."""
    folders = ("docs", "examples", "charts", "observability")
    below = [path for folder in folders for path in (CHECKOUT / folder).rglob("*.md")]
    return sorted([*CHECKOUT.glob("*.md"), *below])


def blocks(page: Path) -> Iterator[Block]:
    """In order. ValueError for a fence that does not say what is in it, so that none is missed."""
    name = str(page.relative_to(CHECKOUT))
    section, language, lines, began = "", None, list[str](), 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            if language is not None:
                lines.append(line)
            elif line.startswith("##"):
                section = line.lstrip("#").strip()
        elif language is None:
            language, lines, began = fence[1].strip(), [], number
            if language not in (*_SHELL, *_OTHER):
                raise ValueError(
                    f"{name}:{number}: a block of {language!r}: expected {_SHELL} or {_OTHER}"
                )
        else:
            if language in _SHELL:
                yield Block(name, began, section, language, tuple(lines))
            language = None


def run_by(test: str) -> list[Block]:
    """The blocks that are this test's to run, page by page. ValueError for one that is nobody's."""
    return [block for page in pages() for block in blocks(page) if _test_of(block) == test]


def _test_of(block: Block) -> str:
    sections = RUN_BY.get(block.page, {})
    found = sections.get(block.section) or sections.get("")
    if found is None:
        raise ValueError(f"{block.place}: no test runs these commands; give them one here")
    return found
