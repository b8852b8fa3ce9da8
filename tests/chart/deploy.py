"""`make deploy`: the chart as plain YAML for kubectl, with keys that are made by hand."""

import subprocess

from testbed import binaries
from testbed.places import CHECKOUT

KEPT = CHECKOUT / "deploy" / "paddock.yaml"
NAMESPACE = "paddock-system"
OPTIONS = (
    "--namespace", NAMESPACE, "--no-hooks", "--kube-version", "1.29.0",
    "--set", "image.repository=REGISTRY/paddock", "--set", "keys.existingSecret=paddock-keys",
)  # fmt: skip
_HEAD = """\
# charts/paddock with its default values, for kubectl: see docs/install.md.
# `make deploy` writes it anew.
"""


def rendered() -> str:
    """What the file should hold. Raises CalledProcessError, or LookupError without helm."""
    helm = binaries.locate(["helm"])["helm"]
    command = [str(helm), "template", "paddock", str(CHECKOUT / "charts/paddock"), *OPTIONS]
    return _HEAD + subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    KEPT.write_text(rendered())
