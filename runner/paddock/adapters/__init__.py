"""Dialog adapters: what turns a caller's words into the agent's."""

from paddock.adapters.dialog import DialogAdapter, as_adapter

__all__ = ["DialogAdapter", "as_adapter"]
