"""`make deploy`: the chart as plain YAML for kubectl, with keys that are made by hand.

The claim of the records is in a file of its own: who deletes what the other one made keeps them.
"""

import re
import subprocess

from testbed import binaries
from testbed.places import CHECKOUT

KEPT = CHECKOUT / "deploy" / "paddock.yaml"
RECORDS = CHECKOUT / "deploy" / "records.yaml"
NAMESPACE = "paddock-system"
OPTIONS = (
    "--namespace", NAMESPACE, "--no-hooks", "--kube-version", "1.29.0",
    "--set", "image.repository=REGISTRY/paddock", "--set", "keys.existingSecret=paddock-keys",
)  # fmt: skip
_HEAD = """\
# charts/paddock with its default values, for kubectl: see docs/install.md.
# `make deploy` writes it anew.
"""
_RECORDS_HEAD = """\
# The volume of the orchestrator's records, which deploy/paddock.yaml mounts: see docs/install.md.
# Deleting it deletes them. `make deploy` writes it anew.
"""
_CLAIM = "\nkind: PersistentVolumeClaim\n"
_OF_HELM = re.compile(r"^ +(?:# |annotations: |app\.kubernetes\.io/managed-by|helm\.sh/).*\n", re.M)
"""Lines of the claim that say what Helm does with it."""


def rendered() -> dict[str, str]:
    """What the files should hold, by their names. Raises CalledProcessError, or LookupError without
    helm."""
    helm = binaries.locate(["helm"])["helm"]
    command = [str(helm), "template", "paddock", str(CHECKOUT / "charts/paddock"), *OPTIONS]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documents = [f"---\n{each}" for each in text.removeprefix("---\n").split("\n---\n")]
    (claim,) = [each for each in documents if _CLAIM in each]
    others = "\n".join(each for each in documents if each != claim)
    return {KEPT.name: _HEAD + others, RECORDS.name: _RECORDS_HEAD + _OF_HELM.sub("", claim) + "\n"}


if __name__ == "__main__":
    for name, text in rendered().items():
        (KEPT.parent / name).write_text(text)
