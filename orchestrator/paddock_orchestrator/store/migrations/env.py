"""What Alembic runs for each command: the migrations, inside the transaction that was handed in."""

from alembic import context

from paddock_orchestrator.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite alters a table by rebuilding it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
