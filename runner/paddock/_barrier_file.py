"""What a container that is restarted in its pod must not forget: the drain that it obeyed."""

import json
import logging
from pathlib import Path

from paddock.protocol.barrier import Barrier
from paddock.protocol.words import Mode

log = logging.getLogger("paddock.process")


def restored_barrier(path: Path | None) -> Barrier:
    """The barrier as the process before this one stored it; a new one if none did."""
    barrier = Barrier()
    if path is not None:
        try:
            stored = json.loads(path.read_text())
            barrier.restore(int(stored["drain_epoch"]), Mode(stored["mode"]))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as why:
            log.warning("barrier_not_read", extra={"path": str(path), "why": str(why)})
    return barrier


def store_barrier(path: Path, drain_epoch: int, mode: Mode) -> bool:
    """Replace what is stored, whole or not at all. True when it is what a restart will find."""
    new = path.with_suffix(".new")
    try:
        new.write_text(json.dumps({"drain_epoch": drain_epoch, "mode": mode.value}))
        new.replace(path)
    except OSError as why:
        log.warning(
            "barrier_not_stored",
            extra={"path": str(path), "why": str(why), "drain_epoch": drain_epoch},
        )
        return False
    return True
