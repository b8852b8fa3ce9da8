"""`paddock-base`: what the project's Dockerfile starts from where no registry can be reached.

A minimal Debian with this machine's CPython, its certificates and its settings of pip.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from testbed.go_build import Say
from testbed.places import cache_folder

TAG = "paddock-base:test"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_SUITE = "stable"
_SKIPPED = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "tkinter", "*.a")
_PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


def archive() -> Path:
    """Where the base's files are kept once they are made."""
    return cache_folder() / f"base-{_suite()}-python{sysconfig.get_python_version()}.tar"


def make_archive(say: Say) -> Path:
    """The tar of the base's files; made once, in about a minute, and kept.

    Raises RuntimeError with the words of what failed.
    """
    made = archive()
    if made.exists():
        return made
    say(f"making {TAG} from debootstrap and {sys.base_prefix}: about a minute, once")
    root = cache_folder() / "base.unfinished"
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    mirror = _mirror()
    _run("debootstrap", "--variant=minbase", _suite(), str(root), *([mirror] if mirror else []))
    _add_python(root)
    _add_settings(root)
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    unfinished = made.with_suffix(".unfinished")
    _run("tar", "--create", "--file", str(unfinished), "--directory", str(root),
         "--one-file-system", ".")  # fmt: skip
    unfinished.rename(made)
    shutil.rmtree(root)
    return made


def _suite() -> str:
    """This machine's Debian: its CPython needs that C library."""
    release = Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)", release, re.M)
    return found[1] if found and re.search(r"^ID=debian$", release, re.M) else _SUITE


def _mirror() -> str | None:
    """Where this machine gets its packages from, if it says."""
    if not shutil.which("apt-get"):
        return None
    targets = _run("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)")
    for line in targets.splitlines():
        release, component, address = line.split(maxsplit=2)
        if (release, component) == (_suite(), "main"):
            return address
    return None


def _add_python(root: Path) -> None:
    """The interpreter, its library and what they are linked with, in /usr/local."""
    version = f"python{sysconfig.get_python_version()}"
    prefix, local = Path(sys.base_prefix), root / "usr/local"
    library = local / "lib" / version
    shutil.copytree(
        prefix / "lib" / version, library, symlinks=True, dirs_exist_ok=True,
        ignore=lambda folder, names: {
            *_SKIPPED(folder, names), *({"site-packages"} & {*names}),
        },
    )  # fmt: skip
    binary = local / "bin" / version
    shutil.copy2((prefix / "bin" / version).resolve(), binary)
    for name in ("python3", "python"):
        (local / "bin" / name).symlink_to(version)
    for needed in sorted({*_linked(binary), *_linked(*library.glob("lib-dynload/*.so"))}):
        # Below /usr even if it is found in /lib: in the base the one is a link to the other.
        target = root / "usr" / needed.relative_to("/usr" if needed.is_relative_to("/usr") else "/")
        if needed.is_relative_to(prefix):
            target = local / "lib" / needed.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(needed.resolve(), target)
    _run("chroot", str(root), "ldconfig")
    _run("chroot", str(root), f"/usr/local/bin/{version}", "-m", "ensurepip")
    pip = local / "bin" / "pip"
    if not pip.exists():
        pip.symlink_to("pip3")


def _linked(*files: Path) -> Iterator[Path]:
    listed = subprocess.run(
        ["ldd", *map(str, files)], capture_output=True, text=True, check=False
    ).stdout
    for path in re.findall(r"=> (/\S+)", listed):
        yield Path(path)


def _add_settings(root: Path) -> None:
    """What pip needs to reach the package index from here."""
    if _AUTHORITIES.exists():
        target = root / _AUTHORITIES.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(_AUTHORITIES, target)
    lines = ["[global]", f"cert = {_AUTHORITIES}", "disable-pip-version-check = true"]
    lines += [
        f"{name.removeprefix('PIP_').lower().replace('_', '-')} = {os.environ[name]}"
        for name in _PIP_SETTINGS
        if name in os.environ
    ]
    (root / "etc/pip.conf").write_text("\n".join(lines) + "\n")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise RuntimeError(f"{' '.join(command[:3])}: {said}")
    return done.stdout
