"""The first schema: organizations, keys, sessions, events, settings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table with its indexes."""
    op.create_table(
        "organizations",
        sa.Column("org_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    _create_keys()
    _create_sessions()
    _index_sessions()
    _create_events()


def downgrade() -> None:
    """Refuse: a durable record is not dropped by going back a version; restore a backup."""
    raise NotImplementedError("restore a backup instead")


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("agents", sa.Text, nullable=False),
        sa.Column("expires_ms", sa.BigInteger),
        sa.Column("revoked_ms", sa.BigInteger),
    )
    op.create_index("uq_keys_digest", "keys", ["digest"], unique=True)
    op.create_index("ix_keys_org", "keys", ["org_id"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("runner_id", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("requested_ms", sa.BigInteger, nullable=False),
        sa.Column("max_duration_s", sa.Double, nullable=False),
        sa.Column("call", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("body_digest", sa.LargeBinary),
        sa.Column("assigned_ms", sa.BigInteger),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("torn_down_ms", sa.BigInteger),
        sa.Column("end_reason", sa.Text),
        sa.Column("end_detail", sa.Text),
    )


def _index_sessions() -> None:
    op.create_index(
        "uq_sessions_idempotency",
        "sessions",
        ["org_id", "agent", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "ix_sessions_agent", "sessions", ["org_id", "agent", "requested_ms", "session_id"]
    )
    op.create_index("ix_sessions_org", "sessions", ["org_id", "requested_ms", "session_id"])
    op.create_index(
        "ix_sessions_open",
        "sessions",
        ["requested_ms"],
        sqlite_where=sa.text("torn_down_ms IS NULL"),
        postgresql_where=sa.text("torn_down_ms IS NULL"),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_events_org", "events", ["org_id", "event_id"])
    op.create_index(
        "ix_events_session",
        "events",
        ["session_id", "event_id"],
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
