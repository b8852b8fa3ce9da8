"""Tokens for bridges and text channels: derived, not stored, so they survive a restart."""

import binascii
import hashlib
import hmac

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Tokens:
    """Keyed by the server's secret. A bridge token is good for one attempt of one session only."""

    def __init__(self, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(key=secret, digest_size=18)
        """Copied for each token: the key is taken in once."""

    def bridge(self, session_id: str, attempt: int) -> str:
        return self._token(f"bridge.{session_id}.{attempt}")

    def text(self, session_id: str) -> str:
        return self._token(f"text.{session_id}")

    def is_bridge(self, token: str, session_id: str, attempt: int) -> bool:
        return hmac.compare_digest(token.encode(), self.bridge(session_id, attempt).encode())

    def is_text(self, token: str, session_id: str) -> bool:
        return hmac.compare_digest(token.encode(), self.text(session_id).encode())

    def _token(self, what: str) -> str:
        hasher = self._keyed.copy()
        hasher.update(what.encode())
        text = binascii.b2a_base64(hasher.digest(), newline=False)
        return text.translate(_URL_SAFE).decode()
