"""The schema's history, shipped with the package and run by it."""

from paddock_orchestrator.store.migrations.upgrade import head_revision, upgrade

__all__ = ["head_revision", "upgrade"]
