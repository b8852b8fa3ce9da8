"""What an entrypoint is given."""

from dataclasses import dataclass, field
from typing import Any

from paddock.session import Session


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call. `data` equals what the caller passed as `body`, exactly; {} when it passed none."""

    call_id: str
    session_id: str
    agent_id: str
    direction: str
    """"inbound" | "outbound\""""
    user_number: str
    """The other party's number, E.164; "" when there is none."""
    instructions: str | None
    data: dict[str, Any]
    session: Session
    runner_id: str = ""
    room: dict[str, Any] = field(default_factory=dict)
