"""Building an image from a Dockerfile, with a Docker daemon that lives only for that."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed import base_image
from testbed.go_build import Say
from testbed.mounts import unmount_below
from testbed.places import cache_folder
from testbed.processes import Component
from testbed.waiting import tail, wait_until

_LEFT = ("/run/docker/plugins", "/run/docker", "/run/containerd/s", "/run/containerd")
_PATIENCE_S = 60.0
_BUILD_S = 1800.0


class ImageBuildFailed(Exception):
    """The builder's last words are in the message."""


def build_image(
    dockerfile_dir: Path,
    tag: str,
    *,
    dockerfile: str = "Dockerfile",
    arguments: Mapping[str, str] | None = None,
    say: Say = lambda _: None,
) -> Path:
    """Build what the folder's Dockerfile says; the path of a tar archive with the image.

    The build argument `BASE` is `paddock-base:test` unless `arguments` say otherwise, so the file
    should begin with `ARG BASE` and `FROM ${BASE}`. The builder is the classic one: no
    `RUN --mount`, no heredocs. Layers are kept for the next time. Needs root.

    Raises ImageBuildFailed, or RuntimeError if the base could not be made.
    """
    with _daemon() as docker:
        _import_base(docker, base_image.make_archive(say))
        build = [*docker, "build", "--network=host", "--force-rm", "--tag", tag]
        for name, value in {"BASE": base_image.TAG, **(arguments or {})}.items():
            build += ["--build-arg", f"{name}={value}"]
        _run([*build, "--file", str(dockerfile_dir / dockerfile), str(dockerfile_dir)])
        images = cache_folder() / "images"
        images.mkdir(exist_ok=True)
        made = images / (tag.replace("/", "_").replace(":", "_") + ".tar")
        unfinished = made.with_suffix(".unfinished")
        _run([*docker, "save", "--output", str(unfinished), tag])
        unfinished.rename(made)
    return made


def _import_base(docker: list[str], base: Path) -> None:
    """Unless the daemon has it: a label names the archive it is from."""
    marker = f"paddock.test/base={base.stat().st_mtime_ns}"
    filters = ["--filter", f"label={marker}", "--filter", f"reference={base_image.TAG}"]
    if _run([*docker, "images", "--quiet", *filters]).strip():
        return
    changes = ["ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
               f"LABEL {marker}"]  # fmt: skip
    options = [word for change in changes for word in ("--change", change)]
    _run([*docker, "import", *options, str(base), base_image.TAG])


@contextmanager
def _daemon() -> Iterator[list[str]]:
    """The command that speaks to a daemon of ours. One at a time; it changes nothing of the
    machine's network."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "docker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(tempfile.mkdtemp(prefix="paddock-docker-"))
        address = f"unix://{folder}/d.sock"
        argv = [
            shutil.which("dockerd") or "dockerd", f"--data-root={cache_folder() / 'docker'}",
            f"--exec-root={folder}/run", f"--pidfile={folder}/pid", f"--host={address}",
            "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none",
            "--oom-score-adjust=0",
        ]  # fmt: skip
        daemon = Component(folder, "dockerd", argv)
        daemon.start()
        docker = ["docker", "--host", address]
        try:
            wait_until(
                "dockerd", lambda: _answers(docker), within_s=_PATIENCE_S, log=daemon.log,
                alive=lambda: daemon.running,
            )  # fmt: skip
            yield docker
        except ImageBuildFailed as error:
            raise ImageBuildFailed(f"{error}\n{tail(daemon.log, 5)}") from None
        finally:
            daemon.stop()
            unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)
            for empty in _LEFT:
                with suppress(OSError):  # others use it, or it never was
                    Path(empty).rmdir()


def _answers(docker: list[str]) -> bool:
    asked = [*docker, "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> str:
    environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_BUILD_S,
    )  # fmt: skip
    if done.returncode != 0:
        raise ImageBuildFailed(f"{' '.join(command[:4])}: {done.stdout.strip()[-3000:]}")
    return done.stdout
