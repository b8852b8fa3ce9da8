"""What a runner is told, from its constructor and the environment."""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paddock.client.contexts import current_context
from paddock.client.server import (
    DEFAULT_URL,
    checked_key,
    first_given,
    from_environment,
    http_base,
)
from paddock.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """Resolved options of one runner process."""

    agent_id: str
    api_key: str
    base_url: str
    """`ws://host[:port]` or `wss://...`, without a path."""
    runner_id: str
    """Stable name of this runner; the pool finds its process or pod by it."""
    max_sessions: int
    permits_per_minute: int
    drain_timeout_s: float
    revision: str
    dev_mode: bool
    state_dir: Path | None
    """Where the heartbeat file is touched; None writes none."""
    barrier_file: Path | None
    """Where the drain that was obeyed is stored; None where nothing is restarted in place."""
    metrics_port: int | None
    """Where `/metrics` is shown; 0: any free port. None: nowhere."""
    instance: str
    """This process among all of its runner id. In a pod it begins with the pod's uid."""

    @property
    def pool(self) -> str:
        """The name it registers under: the development pool is one of its own."""
        return f"{self.agent_id}@dev" if self.dev_mode else self.agent_id


def resolve(
    *,
    agent_id: str | None,
    api_key: str | None,
    max_sessions: int,
    permits_per_minute: int,
    drain_timeout_s: float,
    dev_mode: bool,
    base_url: str | None,
    env: Mapping[str, str],
) -> RunnerOptions:
    """Constructor, then environment (`PADDOCK_*`, else its `UNPOD_*` twin), then context file.

    The pool's environment wins where a pool must be able to: the drain timeout and the runner's
    name; capacity is the smaller of what the code and the pool say. Raises `ConfigurationError`.
    """
    look = _Environment(env)
    agent = agent_id or look("AGENT_ID")
    if not agent:
        raise ConfigurationError("agent_id is missing: pass agent_id=, or set PADDOCK_AGENT_ID")
    context = current_context(env)
    where = f"context {context.name!r}" if context else ""
    key_from, key = first_given(
        ("api_key", api_key),
        *from_environment(env, "API_KEY"),
        (f"{where}, runner_key", context.runner_key if context else ""),
    )
    key = checked_key(key, key_from)
    if not key:
        raise ConfigurationError(
            "no API key: pass api_key=, set PADDOCK_API_KEY, or start `paddock orchestrator` on "
            "this machine, which makes one that is found by itself"
        )
    url_from, url = first_given(
        ("base_url", base_url),
        *from_environment(env, "BASE_URL"),
        (f"{where}, url", context.url if context else ""),
        ("", DEFAULT_URL),
    )
    pool_slots = look.whole("MAX_SESSIONS", minimum=1)
    claimed = _at_least("max_sessions", max_sessions, 1)
    state_dir = Path(look("STATE_DIR")) if look("STATE_DIR") else None
    pod = look("POD_UID")
    return RunnerOptions(
        agent_id=agent,
        api_key=key,
        base_url=websocket_base(url, url_from),
        runner_id=look("RUNNER_ID")
        or look("WORKER_HOSTNAME")
        or f"{socket.gethostname()}-{secrets.token_hex(4)}",
        max_sessions=claimed if pool_slots is None else min(claimed, pool_slots),
        permits_per_minute=_at_least("permits_per_minute", permits_per_minute, 1),
        drain_timeout_s=look.seconds("DRAIN_TIMEOUT_S", _not_negative(drain_timeout_s)),
        revision=look("REVISION"),
        dev_mode=dev_mode or look("DEV_MODE") in ("1", "true"),
        state_dir=state_dir,
        barrier_file=state_dir / f"{pod}.barrier" if state_dir and pod else None,
        metrics_port=look.whole("METRICS_PORT", minimum=0, maximum=65535),
        instance=f"{pod}.{secrets.token_hex(8)}".removeprefix("."),
    )


def websocket_base(url: str, source: str = "url") -> str:
    """`ws(s)://host[:port]` for any of host, host:port, http(s):// and ws(s):// URLs.

    A bare host is reached over TLS, except on this machine. Raises `ConfigurationError`.
    """
    return "ws" + http_base(url, source).removeprefix("http")


class _Environment:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def __call__(self, name: str) -> str:
        return first_given(*from_environment(self._env, name))[1]

    def whole(self, name: str, *, minimum: int, maximum: int | None = None) -> int | None:
        text = self(name)
        if not text:
            return None
        most = float("inf") if maximum is None else maximum
        if not text.isdecimal() or not minimum <= int(text) <= most:
            bounds = f"at least {minimum}" + (f", at most {maximum}" if maximum else "")
            raise ConfigurationError(
                f"PADDOCK_{name}: got {text!r}, expected a whole number of {bounds}"
            )
        return int(text)

    def seconds(self, name: str, default: float) -> float:
        text = self(name)
        if not text:
            return default
        try:
            return _not_negative(float(text))
        except ValueError:
            raise ConfigurationError(
                f"PADDOCK_{name}: got {text!r}, expected seconds, 0 or more"
            ) from None


def _at_least(name: str, value: int, minimum: int) -> int:
    if value < minimum:
        raise ConfigurationError(f"{name}: got {value!r}, expected at least {minimum}")
    return value


def _not_negative(value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"drain_timeout_s: got {value!r}, expected seconds, 0 or more")
    return float(value)


def environment() -> Mapping[str, str]:
    return os.environ
