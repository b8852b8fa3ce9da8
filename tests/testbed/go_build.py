"""Building tools once and keeping them."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.go_modules import KUBERNETES, GoModule, GoTool
from testbed.go_toolchain import ensure_go
from testbed.places import cache_folder
from testbed.waiting import tail

Say = Callable[[str], None]
_PROGRESS_EVERY_S = 15.0


class BuildFailed(Exception):
    """The compiler said no; its words are in the message."""


def build(module: GoModule, say: Say, *, only: frozenset[str] | None = None) -> Path:
    """Build what is missing of a module; the folder of its commands.

    `only` names the commands that are wanted: whole batches are built. Two processes that want
    the same build it once: the second waits for the first. A command appears in the folder only
    when it is complete. Raises BuildFailed.
    """
    wanted = [batch for batch in module.batches if only is None or only & _names(batch)]
    if all(_is_built(module, batch) for batch in wanted):
        return module.built
    with _lock(module, say):
        for batch in wanted:
            if not _is_built(module, batch):
                _build_batch(module, batch, ensure_go(say), say)
    return module.built


def _names(batch: tuple[GoTool, ...]) -> frozenset[str]:
    return frozenset(tool.name for tool in batch)


def _is_built(module: GoModule, batch: tuple[GoTool, ...]) -> bool:
    return all((module.built / tool.name).is_file() for tool in batch)


@contextmanager
def _lock(module: GoModule, say: Say) -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f"{module.key}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{module.name}: another process builds it, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def environment() -> dict[str, str]:
    """What every build runs with: nothing but the checked-in sums decides what is compiled."""
    return {
        **os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }  # fmt: skip


def _flags(module: GoModule) -> list[str]:
    linker = ["-s", "-w"]
    if module is KUBERNETES:
        major, minor, _ = module.version.split(".")
        stamped = {
            "gitVersion": f"v{module.version}", "gitMajor": major, "gitMinor": minor,
            "gitTreeState": "clean",
        }  # fmt: skip
        linker += [f"-X k8s.io/component-base/version.{k}={v}" for k, v in stamped.items()]
    return [
        "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags", " ".join(linker)
    ]  # fmt: skip


def _build_batch(module: GoModule, batch: tuple[GoTool, ...], go: Path, say: Say) -> None:
    names = ", ".join(tool.name for tool in batch)
    say(f"building {names} {module.version} (the whole of {module.name}: about {module.about})")
    began = time.monotonic()
    unfinished = cache_folder() / f"{module.key}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # A package named otherwise than its command is built alone: -o then names the file.
    alone = len(batch) == 1
    output = unfinished / batch[0].name if alone else unfinished
    command = [str(go), "build", "-v", *_flags(module), "-o", f"{output}{'' if alone else '/'}"]
    _compile([*command, *(tool.package for tool in batch)], module, names, say)
    module.built.mkdir(parents=True, exist_ok=True)
    for tool in batch:
        (unfinished / tool.name).rename(module.built / tool.name)
    unfinished.rmdir()
    say(f"built {names} in {time.monotonic() - began:.0f} s")


def _compile(command: list[str], module: GoModule, names: str, say: Say) -> None:
    log = cache_folder() / f"{module.key}.log"
    began = said = time.monotonic()
    with log.open("w") as output:
        compiler = subprocess.Popen(
            command, cwd=module.folder, env=environment(), stdout=output, stderr=output,
            preexec_fn=lambda: os.nice(10),
        )  # fmt: skip
        try:
            while compiler.poll() is None:
                time.sleep(0.2)
                if time.monotonic() - said >= _PROGRESS_EVERY_S:
                    said = time.monotonic()
                    packages = sum(1 for _ in log.open())
                    say(f"  {names}: {packages} packages in {said - began:.0f} s")
        finally:
            if compiler.poll() is None:
                compiler.terminate()
                compiler.wait()
    if compiler.returncode != 0:
        raise BuildFailed(f"go build of {names} failed\n{tail(log)}")
