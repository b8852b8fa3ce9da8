"""The tables of the durable record.

Columns stand in the order of the fields of the row types in `records`, so that a row is a record.
Migrations are written out by hand; a test holds them to this module.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

organizations = Table(
    "organizations",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("org_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("shown", Text, nullable=False),
    Column("agents", Text, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
)
Index("uq_keys_digest", keys.c.digest, unique=True)
Index("ix_keys_org", keys.c.org_id)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("org_id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("runner_id", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("requested_ms", BigInteger, nullable=False),
    Column("max_duration_s", Double, nullable=False),
    Column("call", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("idempotency_key", Text),
    Column("body_digest", LargeBinary),
    Column("assigned_ms", BigInteger),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("torn_down_ms", BigInteger),
    Column("end_reason", Text),
    Column("end_detail", Text),
)
Index(
    "uq_sessions_idempotency",
    sessions.c.org_id,
    sessions.c.agent,
    sessions.c.idempotency_key,
    unique=True,
    sqlite_where=sessions.c.idempotency_key.is_not(None),
    postgresql_where=sessions.c.idempotency_key.is_not(None),
)
Index(
    "ix_sessions_agent",
    sessions.c.org_id,
    sessions.c.agent,
    sessions.c.requested_ms,
    sessions.c.session_id,
)
Index("ix_sessions_org", sessions.c.org_id, sessions.c.requested_ms, sessions.c.session_id)
Index(
    "ix_sessions_open",
    sessions.c.requested_ms,
    sqlite_where=sessions.c.torn_down_ms.is_(None),
    postgresql_where=sessions.c.torn_down_ms.is_(None),
)

events = Table(
    "events",
    metadata,
    # SQLite stores a row under its integer key only if the type is spelled INTEGER.
    Column(
        "event_id",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("org_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("session_id", Text),
    Column("data", LargeBinary, nullable=False),
)
Index(
    "ix_events_session",
    events.c.session_id,
    events.c.event_id,
    sqlite_where=events.c.session_id.is_not(None),
    postgresql_where=events.c.session_id.is_not(None),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
