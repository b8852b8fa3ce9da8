"""Where the testbed keeps things: built tools in the cache, running clusters under the temporary
folder."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

TESTBED = Path(__file__).parent
CHECKOUT = TESTBED.parents[1]


def cache_folder() -> Path:
    """What is worth keeping: tools, the base image, a Go of our own, logs of failed runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "paddock-cluster"


def clusters_folder() -> Path:
    """The folder of running clusters. Short, because the paths of sockets must be."""
    return Path(tempfile.gettempdir()) / f"paddock-testbed-{os.getuid()}"


def checkout_name() -> str:
    """The name of the cluster of this checkout: two checkouts never take each other's down."""
    return "c" + hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:6]


def make_private(folder: Path) -> Path:
    """Make a folder for our eyes only: it will hold keys. Refuses one that belongs to another."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def keep_logs(cluster: Path) -> Path:
    """Copy a cluster's logs to where its teardown does not reach; the folder with the copy."""
    kept = cache_folder() / "logs" / cluster.name
    shutil.rmtree(kept, ignore_errors=True)
    if (cluster / "logs").is_dir():
        shutil.copytree(cluster / "logs", kept)
    return kept
