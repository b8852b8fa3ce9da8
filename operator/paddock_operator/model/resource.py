"""An object as an API server sends it: what it says, apart from what the server adds to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from paddock_operator.model.connection import OrchestratorConnection
from paddock_operator.model.examine import Kind, M, examine, rest_of
from paddock_operator.model.kinds import AGENT_DEPLOYMENT, ORCHESTRATOR_CONNECTION
from paddock_operator.model.manifest import AgentDeployment
from paddock_operator.model.problems import Problem

T = TypeVar("T")

_OURS: Final = ("name", "labels", "annotations")
"""Of the metadata, what an author writes; the rest is the server's, and grows with its versions."""


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What the API server keeps about an object."""

    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    deletion_timestamp: str | None = None
    """Set once somebody deleted it; it stays until its finalizers are gone."""
    finalizers: tuple[str, ...] = ()
    created: str = ""
    """When, as the server writes it: what was later sorts later."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """An object of the cluster. `meta` and `status` are there even if the manifest is not valid:
    what has to be told or cleaned up does not wait for it to be mended."""

    meta: ObjectMeta
    parsed: T | tuple[Problem, ...]
    """The manifest, equal to what a file with the same spec gives, or all that is wrong with it."""
    rest: T | None
    """What can be read of a manifest that is not valid, with defaults in place of the rest: good
    for letting go of what was made by it. None where not even that can be had."""
    status: Mapping[str, object]
    """As it was last written; not checked."""


def parse_resource(data: Mapping[str, object]) -> Resource[AgentDeployment]:
    """An AgentDeployment, whether or not the server filled its defaults in.

    Rules and unknown fields are checked again: the object may be older than the definition, or the
    definition newer than this operator. KeyError when `data` is no object of an API server.
    """
    return _parse(AGENT_DEPLOYMENT, data)


def parse_connection(data: Mapping[str, object]) -> Resource[OrchestratorConnection]:
    """An OrchestratorConnection; otherwise as `parse_resource`."""
    return _parse(ORCHESTRATOR_CONNECTION, data)


def _parse(kind: Kind[M], data: Mapping[str, object]) -> Resource[M]:
    metadata = data["metadata"]
    if not isinstance(metadata, Mapping):
        raise KeyError("metadata")
    status = data.get("status")
    meta = _meta(metadata)
    written = {
        **{name: value for name, value in data.items() if name != "status"},
        "metadata": {name: metadata[name] for name in _OURS if name in metadata},
    }
    found = examine(kind, written, f"{meta.namespace}/{meta.name}", {})
    return Resource(
        meta,
        tuple(found) if isinstance(found, list) else found,
        rest_of(kind, written) if isinstance(found, list) else found,
        status if isinstance(status, Mapping) else {},
    )


def _meta(metadata: Mapping[str, object]) -> ObjectMeta:
    deleted = metadata.get("deletionTimestamp")
    finalizers = metadata.get("finalizers")
    return ObjectMeta(
        name=str(metadata["name"]),
        namespace=str(metadata["namespace"]),
        uid=str(metadata["uid"]),
        generation=int(str(metadata["generation"])),
        resource_version=str(metadata["resourceVersion"]),
        deletion_timestamp=None if deleted is None else str(deleted),
        finalizers=tuple(map(str, finalizers)) if isinstance(finalizers, list | tuple) else (),
        created=str(metadata.get("creationTimestamp") or ""),
    )
