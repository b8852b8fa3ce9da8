"""Tokens for bridges and text channels: derived, not stored, so they survive a restart."""

import base64
import hashlib
import hmac


class Tokens:
    """Keyed by the server's secret. A bridge token is good for one attempt of one session only."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def bridge(self, session_id: str, attempt: int) -> str:
        return self._token(f"bridge.{session_id}.{attempt}")

    def text(self, session_id: str) -> str:
        return self._token(f"text.{session_id}")

    def is_bridge(self, token: str, session_id: str, attempt: int) -> bool:
        return hmac.compare_digest(token.encode(), self.bridge(session_id, attempt).encode())

    def is_text(self, token: str, session_id: str) -> bool:
        return hmac.compare_digest(token.encode(), self.text(session_id).encode())

    def _token(self, what: str) -> str:
        digest = hashlib.blake2b(what.encode(), key=self._secret, digest_size=18).digest()
        return base64.urlsafe_b64encode(digest).decode()
