"""What one orchestrator process is told. Built once, printed once, never looked up again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from paddock.state_dir import state_dir
from paddock_orchestrator.state.book import Limits


class SettingError(Exception):
    """A setting that cannot be used: its name, its value, and what is expected."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name}: got {value!r}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of the orchestrator."""

    host: str = "127.0.0.1"
    """Loopback unless told otherwise: the keys of a fresh installation are on this machine."""
    port: int = 8600
    """0 lets the system choose; the address is in the log and in the context file."""
    state_dir: Path = Path("paddock-state")
    database_url: str = field(default="", repr=False)
    """`sqlite:///PATH` or `postgresql://...`; "" is a file in the state directory."""
    database_wait_s: float = 60.0
    """How long a start waits for PostgreSQL, and for another orchestrator to leave it."""
    public_url: str = ""
    """What runners and callers reach the server by; "" is whatever each of them asked for."""
    context_name: str = "local"
    """Under which name this machine's command line finds the first keys."""
    keys_dir: Path | None = None
    """A folder with the first keys, instead of new ones; see `given_keys`."""
    max_body_bytes: int = 512 * 1024
    """Largest start request."""
    starts_per_s: float = 100.0
    """Sustained rate of starts one key may ask for."""
    starts_burst: float = 500.0
    """Starts one key may ask for at once."""
    retention_days: float = 30.0
    """Ended sessions, their events and idempotency keys are deleted after this."""
    caller_grace_s: float = 30.0
    """How long a text caller may be away before it counts as having hung up."""
    checkpoint_s: float = 0.1
    """How often some of the sessions that changed and go on are written."""
    log_format: str = "text"
    """`text` or `json`."""
    log_level: str = "info"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        _check("port", self.port, 0 <= self.port <= 65535, "0 to 65535")
        good = not self.public_url or self.public_url.startswith(("http://", "https://"))
        _check("public_url", self.public_url, good, "an http(s) URL")
        _check("max_body_bytes", self.max_body_bytes, self.max_body_bytes >= 1024, ">= 1024")
        _check("starts_per_s", self.starts_per_s, self.starts_per_s > 0, "> 0")
        _check("starts_burst", self.starts_burst, self.starts_burst >= 1, ">= 1")
        _check("retention_days", self.retention_days, self.retention_days > 0, "> 0")
        _check("database_wait_s", self.database_wait_s, self.database_wait_s >= 0, ">= 0")
        _check("log_format", self.log_format, self.log_format in ("text", "json"), "text or json")
        levels = ("debug", "info", "warning", "error")
        _check("log_level", self.log_level, self.log_level in levels, " or ".join(levels))

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'orchestrator.db'}"

    @classmethod
    def from_env(cls, env: Mapping[str, str], **given: object) -> "Settings":
        """From `PADDOCK_ORCHESTRATOR_<NAME>` variables, overridden by what is `given` and not None.

        Raises `SettingError` naming the variable, its value and what is expected.
        """
        values: dict[str, object] = {"state_dir": state_dir(env) / "orchestrator"}
        for option in fields(cls):
            name = f"PADDOCK_ORCHESTRATOR_{option.name.upper()}"
            if option.name == "limits" or name not in env:
                continue
            values[option.name] = _parsed(name, env[name], option.type)
        values.update({k: v for k, v in given.items() if v is not None})
        return cls(**values)  # type: ignore[arg-type]


def _check(name: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise SettingError(name, value, expected)


def _parsed(name: str, text: str, kind: object) -> object:
    for type_, expected in ((int, "a whole number"), (float, "a number"), (Path, "a path")):
        if kind in (type_, type_ | None):
            try:
                return type_(text)
            except ValueError:
                raise SettingError(name, text, expected) from None
    return text
