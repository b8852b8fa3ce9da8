"""Reading and writing the files that lead to a cluster."""

import base64
import json
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Access:
    """A server and how to be let in."""

    server: str
    tls: ssl.SSLContext | None
    token: str | None


def write(path: Path, *, server: str, ca: Path, token: str) -> None:
    """A kubeconfig for a bearer token, readable by us only, with nothing outside the file."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    cluster = {"server": server, "certificate-authority-data": authority}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        "current-context": "testbed",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))


def write_like(source: Path, path: Path, *, token: str) -> None:
    """The way that `source` has, for another one's token."""
    content = yaml.safe_load(source.read_text())
    content["users"] = [
        {"name": entry["name"], "user": {"token": token}} for entry in content["users"]
    ]
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))


def read(path: Path) -> Access:
    """How the current context reaches its cluster.

    Knows bearer tokens and client certificates. Raises ValueError for anything else, such as a
    login command, and OSError if there is no such file.
    """
    content = yaml.safe_load(path.read_text())
    context = _named(content, "contexts", content.get("current-context"))["context"]
    cluster = _named(content, "clusters", context["cluster"])["cluster"]
    user = _named(content, "users", context["user"])["user"]
    unknown = sorted(user.keys() & {"exec", "auth-provider", "username"})
    if unknown:
        raise ValueError(f"{path}: the user logs in by {unknown[0]}; give it a token")
    return Access(cluster["server"], _tls(path.parent, cluster, user), user.get("token"))


def _named(content: Any, kind: str, name: object) -> Any:
    for entry in content.get(kind) or ():
        if entry["name"] == name:
            return entry
    raise ValueError(f"the kubeconfig has no {name!r} among its {kind}")


def _tls(folder: Path, cluster: Any, user: Any) -> ssl.SSLContext | None:
    if not cluster["server"].startswith("https:"):
        return None
    tls = ssl.create_default_context(cadata=_text(folder, cluster, "certificate-authority"))
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate = _text(folder, user, "client-certificate")
    key = _text(folder, user, "client-key")
    if certificate and key:
        with tempfile.NamedTemporaryFile("w") as both:  # ssl takes files only
            both.write(f"{certificate}\n{key}\n")
            both.flush()
            tls.load_cert_chain(both.name)
    return tls


def _text(folder: Path, holder: Any, name: str) -> str | None:
    """The content of a file that is named, or held in base64."""
    if data := holder.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    if named := holder.get(name):
        return (folder / str(named)).read_text()
    return None
