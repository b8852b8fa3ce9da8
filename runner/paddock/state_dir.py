"""Where local state lives."""

import os
from collections.abc import Mapping
from pathlib import Path


def state_dir(env: Mapping[str, str]) -> Path:
    """`$PADDOCK_HOME`, else `$XDG_STATE_HOME/paddock`, else `~/.local/state/paddock`."""
    if env.get("PADDOCK_HOME"):
        return Path(env["PADDOCK_HOME"])
    base = env.get("XDG_STATE_HOME") or os.path.join(env.get("HOME", "/"), ".local", "state")
    return Path(base) / "paddock"
