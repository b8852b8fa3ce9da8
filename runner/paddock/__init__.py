"""Paddock: run pools of voice-agent runners.

`AgentRunner` takes calls and hands each to your entrypoint as a `CallContext`.
"""

from typing import TYPE_CHECKING, Any

from paddock.version import __version__

__all__ = [
    "AgentRunner",
    "AsyncClient",
    "CallContext",
    "ConfigurationError",
    "CredentialRefused",
    "DialogAdapter",
    "PaddockError",
    "RunnerStats",
    "Session",
    "SessionEnded",
    "SessionStalled",
    "__version__",
]

_HOMES = {
    "AgentRunner": "paddock.runner",
    "AsyncClient": "paddock.client.client",
    "CallContext": "paddock.context",
    "ConfigurationError": "paddock.errors",
    "CredentialRefused": "paddock.errors",
    "DialogAdapter": "paddock.adapters.dialog",
    "PaddockError": "paddock.errors",
    "RunnerStats": "paddock.stats",
    "Session": "paddock.session",
    "SessionEnded": "paddock.errors",
    "SessionStalled": "paddock.errors",
}

if TYPE_CHECKING:
    from paddock.adapters.dialog import DialogAdapter
    from paddock.client.client import AsyncClient
    from paddock.context import CallContext
    from paddock.errors import (
        ConfigurationError,
        CredentialRefused,
        PaddockError,
        SessionEnded,
        SessionStalled,
    )
    from paddock.runner import AgentRunner
    from paddock.session import Session
    from paddock.stats import RunnerStats


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `import paddock` stays fast."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'paddock' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
