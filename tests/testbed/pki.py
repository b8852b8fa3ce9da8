"""The certificates and keys of one cluster. All are worth nothing anywhere else."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

_EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_DAYS = "365"


def make_certificates(
    folder: Path, *, apiserver_addresses: Sequence[str], kubelet_addresses: Sequence[str] = ()
) -> None:
    """Make, in `folder`, `ca`, `apiserver`, `kubelet-client` and `kubelet` (each .crt and .key)
    and the keys that sign service accounts' tokens (`sa.key`, `sa.pub`).

    Raises RuntimeError with what openssl said.
    """
    folder.mkdir(mode=0o700)
    _openssl(folder, "req", "-x509", *_EC, "-keyout", "ca.key", "-out", "ca.crt",
             "-days", _DAYS, "-subj", "/CN=paddock-testbed",
             "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,digitalSignature")  # fmt: skip
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
             "kubernetes.default.svc.cluster.local"]  # fmt: skip
    server = [f"DNS:{name}" for name in names] + [f"IP:{ip}" for ip in apiserver_addresses]
    _leaf(folder, "apiserver", "/CN=kube-apiserver", "serverAuth", server)
    _leaf(folder, "kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client", "clientAuth")
    if kubelet_addresses:
        node = [f"IP:{ip}" for ip in kubelet_addresses]
        _leaf(folder, "kubelet", "/CN=kubelet", "serverAuth", node)
    _openssl(folder, "genrsa", "-out", "sa.key", "2048")
    _openssl(folder, "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def _leaf(folder: Path, name: str, subject: str, usage: str, addresses: Sequence[str] = ()) -> None:
    extensions = [f"extendedKeyUsage={usage}", "keyUsage=critical,digitalSignature"]
    if addresses:
        extensions.append(f"subjectAltName={','.join(addresses)}")
    (folder / f"{name}.ext").write_text("\n".join(extensions))
    _openssl(folder, "req", "-new", *_EC, "-keyout", f"{name}.key", "-out", f"{name}.csr",
             "-subj", subject)  # fmt: skip
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
             "-CAcreateserial", "-days", _DAYS, "-extfile", f"{name}.ext",
             "-out", f"{name}.crt")  # fmt: skip


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "RANDFILE": str(folder / ".rnd")},
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")
