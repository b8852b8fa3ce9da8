"""Which orchestrator the command line and the SDK talk to, kept in one 0600 file.

Found by `--url`/`--api-key`, then the environment, then this file's current context.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from paddock.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Context:
    """One orchestrator and the keys to it. An empty key is one that is not known."""

    name: str
    url: str
    private_key: str = ""
    public_key: str = ""
    runner_key: str = ""


@dataclass(slots=True)
class ContextFile:
    """All contexts of this user."""

    path: Path
    current: str = ""
    contexts: dict[str, Context] = field(default_factory=dict)

    @classmethod
    def load(cls, env: Mapping[str, str]) -> "ContextFile":
        """Read the file; an absent one is empty. Raises `ConfigurationError` for a broken one."""
        path = contexts_path(env)
        try:
            raw = json.loads(path.read_text())
            contexts = {c["name"]: Context(**c) for c in raw["contexts"]}
            return cls(path, raw.get("current", ""), contexts)
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError) as why:
            raise ConfigurationError(f"{path} cannot be read ({why}): mend or remove it") from None

    def save(self) -> None:
        """Replace the file as a whole, readable by this user alone."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = {
            "current": self.current,
            "contexts": [asdict(c) for c in self.contexts.values()],
        }
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(body, file, indent=2)
        draft.replace(self.path)

    def put(self, context: Context, *, use: bool) -> None:
        self.contexts[context.name] = context
        if use or not self.current:
            self.current = context.name


def contexts_path(env: Mapping[str, str]) -> Path:
    """`$PADDOCK_CONTEXTS`, else `$XDG_CONFIG_HOME/paddock/contexts.json`."""
    if env.get("PADDOCK_CONTEXTS"):
        return Path(env["PADDOCK_CONTEXTS"])
    base = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME", "/"), ".config")
    return Path(base) / "paddock" / "contexts.json"


def current_context(env: Mapping[str, str]) -> Context | None:
    """The context in use; None when there is none."""
    file = ContextFile.load(env)
    return file.contexts.get(env.get("PADDOCK_CONTEXT") or file.current)
