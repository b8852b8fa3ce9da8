"""What can go wrong with the durable record, cut by who must act.

    StoreError
    ├── StoreMisconfigured        the operator: the address or the file cannot be used as it is
    │   ├── StoreUnsupported      the address names an engine that this version does not speak
    │   ├── SchemaTooNew          the database was written by a newer version
    │   └── StoreTaken            another orchestrator works on the database
    ├── StoreUnavailable          the environment (locked, disk full, queue full); retry later
    ├── StoreClosed               nobody: the store was closed before the call
    └── RecordRejected            the caller: this record can never be stored as it is
        └── AlreadyExists         a record with the same unique value is there
            └── DuplicateKey      another session holds the idempotency key

Nothing of a record that failed with any of these was kept, with one exception that no database can
rule out: a commit whose answer did not come (`StoreUnavailable`) may have kept all of it.
"""

from typing import ClassVar


class StoreError(Exception):
    """`what` went wrong, what was `expected`, and the `fix`, in one line of text."""

    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, expected: str = "", fix: str = "") -> None:
        self.what = what
        self.expected = expected
        self.fix = fix
        parts = [what]
        if expected:
            parts.append(f"expected: {expected}")
        if fix:
            parts.append(f"fix: {fix}")
        super().__init__("; ".join(parts))


class StoreMisconfigured(StoreError):
    """The address or the file cannot be used as it is."""


class StoreUnsupported(StoreMisconfigured):
    """The address names an engine that this version does not speak."""


class SchemaTooNew(StoreMisconfigured):
    """The database was written by a newer version; nothing in it was touched."""


class StoreTaken(StoreMisconfigured):
    """Another orchestrator works on the database."""


class StoreUnavailable(StoreError):
    """The database cannot take or give records now; the same call may succeed later."""

    retryable: ClassVar[bool] = True


class StoreClosed(StoreError):
    """The store was closed before the call."""


class RecordRejected(StoreError):
    """The database can never take this record as it is."""


class AlreadyExists(RecordRejected):
    """A record with the same unique value is there already."""


class DuplicateKey(AlreadyExists):
    """Another session of the agent holds this idempotency key."""
