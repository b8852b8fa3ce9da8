"""What is mounted where."""

import subprocess
from pathlib import Path

_TABLE = Path("/proc/mounts")


def unmount_below(folder: Path) -> None:
    """Detach everything mounted below the folder, the innermost first."""
    points = [line.split()[1] for line in _TABLE.read_text().splitlines()]
    for point in reversed(points):
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def filesystem_of(folder: Path, table: str | None = None) -> str:
    """The type of the file system a folder is on, such as `ext4`."""
    lines = (_TABLE.read_text() if table is None else table).splitlines()
    best, kind = "", ""
    for line in lines:
        point, own = line.split()[1:3]
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, own
    return kind
