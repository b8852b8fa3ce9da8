"""WebSocket close codes. A credential is refused with 4001 after the upgrade, never with 1008."""

NORMAL = 1000
GOING_AWAY = 1001
TOO_BIG = 1009
INTERNAL = 1011
RESTART = 1012
TRY_AGAIN_LATER = 1013
"""More was said than the other side takes now."""

BAD_CREDENTIAL = 4001
BAD_TOKEN = 4003
"""Bridge or text token unknown, expired, or its session is over."""
PROTOCOL_VIOLATION = 4008
ALREADY_CONNECTED = 4009
"""The session has a live bridge already."""
SUPERSEDED = 4010
"""A newer socket of the same peer took over."""
GO_ELSEWHERE = 4012
"""Not here; the close reason may carry `retry_ms=N`."""

FATAL = frozenset({BAD_CREDENTIAL})
"""Trying again with the same credential cannot help."""
