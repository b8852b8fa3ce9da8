"""Where the record is kept: reading its address and preparing its file."""

import os
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from paddock_orchestrator.store.errors import StoreMisconfigured

_EXPECTED = "sqlite:///relative.db or sqlite:////absolute.db"


def database_path(url: str) -> Path:
    """The file that `url` names; raises `StoreMisconfigured` if it names none."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreMisconfigured("the store's address is no URL", expected=_EXPECTED) from error
    if not parsed.database or parsed.database == ":memory:" or parsed.database[:5] == "file:":
        raise StoreMisconfigured(
            "the store's address names no file",
            expected=_EXPECTED,
            fix="name a file: the record must survive the process",
        )
    if parsed.host or parsed.query:
        raise StoreMisconfigured(
            "the store's address has a host or options",
            expected=_EXPECTED,
            fix="three slashes before a relative path, four before an absolute one, nothing after",
        )
    return Path(parsed.database).absolute()


def prepare_file(path: Path) -> None:
    """Create the file for the owner only, and each missing directory above it likewise.

    SQLite gives its journal and index files the mode of the database, so this covers them.
    """
    try:
        _create_directories(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreMisconfigured(
            f"{path} cannot be opened: {error.strerror or error}",
            expected="a file and a directory that this user may write",
            fix="change the store's address or the directory's owner",
        ) from error


def _create_directories(directory: Path) -> None:
    """Like `mkdir -p`, but the mode holds for the parents that are created too."""
    if directory.is_dir():
        return
    _create_directories(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
