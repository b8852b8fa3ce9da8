"""`python -m testbed`: the throw-away cluster by hand."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from testbed import binaries, cluster, doctor
from testbed.client import ApiClient
from testbed.go_build import BuildFailed
from testbed.image_build import ImageBuildFailed, build_image
from testbed.places import checkout_name, clusters_folder
from testbed.prepare import prepare
from testbed.real_node import load_image
from testbed.tiers import Tier
from testbed.waiting import NotReady


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _folder(name: str) -> Path:
    return clusters_folder() / name


def _build(options: argparse.Namespace) -> int:
    tier = Tier(options.tier) if options.tier else _attainable()
    if not prepare(tier, _say):
        return 1
    for name in binaries.tools_of(tier):
        tool = binaries.find(name)
        assert tool is not None
        print(f"{name:24} {tool.source:20} {tool.path}")
    return 0


def _up(options: argparse.Namespace) -> int:
    tier = Tier(options.tier) if options.tier else _attainable()
    lack = doctor.lack_of(tier) if prepare(tier, _say) else "see above"
    if lack is not None:
        _say(f"tier {tier} is not possible: {lack}")
        return 1
    cluster.sweep(_say)
    if _folder(options.name).exists():
        _say(f"cluster {options.name} is up already; `python -m testbed down` removes it")
        return 1
    began = time.monotonic()
    made = cluster.up(options.name, frozenset(tier.including()), detached=True, say=_say)
    _say(f"cluster {options.name} is up in {time.monotonic() - began:.1f} s: {tier}")
    _print_use(made.kubeconfig, made.kubectl)
    return 0


def _attainable() -> Tier:
    """The highest tier this machine allows once everything is installed and built."""
    return [tier for tier in Tier if doctor.hindrance_of(tier) is None][-1]


def _doctor(options: argparse.Namespace) -> int:
    verdicts = doctor.examine()
    for verdict in [*verdicts, doctor.examine_postgres()]:
        print(f"{verdict.tier:<9} {verdict.sentence}")
    asked = Tier(options.tier) if options.tier else Tier.API
    return 0 if all(one.possible for one in verdicts if one.tier in asked.including()) else 1


def _image(options: argparse.Namespace) -> int:
    made = build_image(Path(options.folder), options.tag, say=_say)
    print(made)
    if (_folder(options.name) / "node").exists():
        load_image(_folder(options.name) / "node", made)
        _say(f"{options.tag} is on the node of {options.name}")
    return 0


def _print_use(path: Path, kubectl: Path) -> None:
    print(f"export {cluster.EXISTING}={path}  # for the tests")
    print(f"export KUBECONFIG={path}          # for kubectl and helm")
    print(f"# kubectl: {kubectl}")


def _down(options: argparse.Namespace) -> int:
    cluster.sweep(_say)
    cluster.down(_folder(options.name), _say)
    return 0


def _status(options: argparse.Namespace) -> int:
    folders = sorted(path for path in clusters_folder().glob("*") if path.is_dir())
    for folder in folders:
        path = folder / "admin.kubeconfig"
        ready = path.exists() and ApiClient(path).is_ready()
        print(f"{folder.name}: {'ready' if ready else 'not ready'}  {path}")
    if not folders:
        print("no cluster is up")
    return 0


def _shell(options: argparse.Namespace) -> int:
    path = _folder(options.name) / "admin.kubeconfig"
    if not path.exists():
        _say("no cluster is up; `python -m testbed up` makes one")
        return 1
    kubectl = binaries.locate(["kubectl"])["kubectl"]
    environ = {
        **os.environ, "KUBECONFIG": str(path), cluster.EXISTING: str(path),
        "PATH": f"{kubectl.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }  # fmt: skip
    words = [word for word in options.command if word != "--"]
    command = words or [os.environ.get("SHELL", "/bin/sh")]
    return subprocess.run(command, env=environ, check=False).returncode


_COMMANDS = {
    "doctor": (_doctor, "which tiers are possible here; exit code 1 if that of --tier is not"),
    "build": (_build, "install and build what is missing"),
    "up": (_up, "start the cluster of this checkout and leave it running"),
    "down": (_down, "remove every trace of it"),
    "status": (_status, "the clusters that are up"),
    "image": (_image, "build an image from a Dockerfile, and load it if a real node is up"),
    "shell": (_shell, "a shell, or a command, with KUBECONFIG and kubectl set"),
}


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 done, 1 not done with the reason on the standard error."""
    parser = argparse.ArgumentParser("python -m testbed", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, about) in _COMMANDS.items():
        command = commands.add_parser(name, help=about)
        command.set_defaults(run=run)
        command.add_argument("--tier", choices=[*Tier], help="default: the highest possible")
        command.add_argument("--name", default=checkout_name(), help="of the cluster")
        if name == "image":
            command.add_argument("folder", help="with the Dockerfile")
            command.add_argument("--tag", required=True, help="such as localhost/paddock/x:test")
        if name == "shell":
            command.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except (BuildFailed, ImageBuildFailed, LookupError, NotReady, RuntimeError, OSError) as error:
        _say(f"error: {error}")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
