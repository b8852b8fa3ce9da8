"""The first keys from a folder, as a mounted Kubernetes secret is one."""

from pathlib import Path

from paddock_orchestrator.keyring import PREFIX
from paddock_orchestrator.settings import SettingError
from paddock_orchestrator.store.records import Scope

FILES = {Scope.PRIVATE: "apiKey", Scope.PUBLIC: "publicKey", Scope.RUNNER: "runnerKey"}
"""Two of the names are those that an OrchestratorConnection's secret has."""
SHORTEST = 20
"""Letters after the prefix, fewer of which could be guessed."""


def read_keys(folder: Path) -> dict[Scope, str]:
    """A key of each scope. Raises `SettingError` naming the file that is missing or no key."""
    return {scope: _read(folder / name, scope) for scope, name in FILES.items()}


def _read(file: Path, scope: Scope) -> str:
    prefix = PREFIX[scope]
    expected = f"a {scope} key: {prefix} and at least {SHORTEST} letters or digits"
    try:
        text = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as why:
        reason = getattr(why, "strerror", None) or "no text"
        raise SettingError(f"keys_dir: {file}", reason, expected) from None
    rest = text.removeprefix(prefix)
    if rest == text or len(rest) < SHORTEST or any(letter.isspace() for letter in rest):
        raise SettingError(f"keys_dir: {file}", f"{text[:3]}...", expected)
    return text
