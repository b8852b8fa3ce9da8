"""Which idempotency keys may have been used: a yes must be looked up, a no need not be.

A Bloom filter (Bloom, 1970) of 8 Mi bits and three hashes: at a million keys 3 % of new ones are
looked up in vain, and no used one is ever missed. Looking each up would cost several times what
the rest of a start does. The hashes are three parts of the interpreter's own, which is keyed anew
in each process: nobody outside can choose keys that collide.
"""

_BITS = 1 << 23
_MASK = _BITS - 1


class SeenKeys:
    """Only grows; built anew from the records when the process starts."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)

    def add(self, org: str, agent: str, key: str) -> None:
        for at in _places(org, agent, key):
            self._bits[at >> 3] |= 1 << (at & 7)

    def may_have(self, org: str, agent: str, key: str) -> bool:
        """False: certainly new."""
        bits = self._bits
        for at in _places(org, agent, key):  # noqa: SIM110  # all() is slower here
            if not bits[at >> 3] & (1 << (at & 7)):
                return False
        return True


def _places(org: str, agent: str, key: str) -> tuple[int, int, int]:
    number = hash((org, agent, key))
    return number & _MASK, (number >> 20) & _MASK, (number >> 40) & _MASK
