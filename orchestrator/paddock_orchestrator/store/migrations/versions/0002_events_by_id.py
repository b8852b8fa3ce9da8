"""Events are read in the order of their ids: no index by organization, which each one paid for."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_events_org", "events")
