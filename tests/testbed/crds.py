"""Installing the project's own kinds."""

from pathlib import Path
from typing import Any

import yaml

from testbed.client import ApiClient
from testbed.places import CHECKOUT
from testbed.waiting import wait_until

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def read_definitions(folder: Path = CHECKOUT / "crds") -> list[dict[str, Any]]:
    """What the YAML files of the folder define; nothing if there is no such folder."""
    return [
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document
    ]


def install(client: ApiClient, definitions: list[dict[str, Any]]) -> None:
    """Apply them; the server serves their kinds when this returns.

    Must come before the controller-manager starts: it looks for new kinds every 30 s, and until
    it has seen one, what objects of that kind own is not collected.
    """
    names = [definition["metadata"]["name"] for definition in definitions]
    for name, definition in zip(names, definitions, strict=True):
        client.apply(f"{_DEFINITIONS}/{name}", definition)
    for name in names:
        wait_until(
            f"definition {name} established", lambda name=name: _is_served(client, name),  # type: ignore[misc]
            within_s=60,
        )  # fmt: skip


def _is_served(client: ApiClient, name: str) -> bool:
    conditions = client.get(f"{_DEFINITIONS}/{name}").get("status", {}).get("conditions", [])
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions or ())
