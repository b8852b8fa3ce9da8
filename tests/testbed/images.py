"""Images made of a few files, without a builder."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_image(path: Path, tag: str, files: Mapping[str, bytes], command: Sequence[str]) -> Path:
    """Write a Docker archive of one layer with these executable files; its path.

    The same content gives the same image. It appears at `path` when it is complete.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, content in sorted(files.items()):
            _add(tar, name.lstrip("/"), content, 0o755)
    blob = layer.getvalue()
    config = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Entrypoint": [*command], "User": "65534:65534"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(blob)}"]},
        }
    ).encode()
    config_name, layer_name = f"{_digest(config)}.json", f"{_digest(blob)}.tar"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [layer_name]}]
    unfinished = path.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w") as tar:
        _add(tar, config_name, config)
        _add(tar, layer_name, blob)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return unfinished.rename(path)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = mode
    tar.addfile(entry, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _architecture() -> str:
    """The machine's, in the words of images."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
