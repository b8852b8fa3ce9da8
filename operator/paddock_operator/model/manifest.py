"""The AgentDeployment manifest. Sections live in modules of their own; this is the whole."""

from typing import Annotated, Literal

from pydantic import Field

from paddock_operator.model.base import NAME_PATTERN, Part, Runners
from paddock_operator.model.lifecycle import (
    Disruption,
    Drain,
    Failure,
    Fallback,
    PausedWord,
    Rollout,
    Sessions,
)
from paddock_operator.model.scaling import Scaling
from paddock_operator.model.template import Labels, PodTemplate

API_VERSION = "paddock.dev/v1alpha1"
KIND = "AgentDeployment"
CONNECTION_KIND = "OrchestratorConnection"
NAME_LIMIT = 48
"""Leaves room for the revision and the slot in a pod name of 63 characters."""

Untouched = Annotated[object, Field(description="Set by the API server; not read here.")]


class Metadata(Part):
    """The object's name, and what the API server adds to it."""

    # Pattern and length are rules of their own, for their messages; editors get them here.
    name: str = Field(
        description="Name of the pool, at most 48 characters.",
        json_schema_extra={"pattern": NAME_PATTERN, "maxLength": NAME_LIMIT},
    )
    namespace: str | None = Field(
        default=None, description="Namespace; the organization on Kubernetes."
    )
    labels: Labels = Field(default_factory=dict, description="Labels of the object.")
    annotations: Labels = Field(default_factory=dict, description="Annotations of the object.")
    uid: str | None = Field(default=None, description="Set by the API server.")
    resource_version: str | None = Field(default=None, description="Set by the API server.")
    generation: int | None = Field(default=None, description="Set by the API server.")
    deletion_timestamp: str | None = Field(default=None, description="Set by the API server.")
    finalizers: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="Who must agree before the object goes."
    )
    creation_timestamp: Untouched = None
    deletion_grace_period_seconds: Untouched = None
    generate_name: Untouched = None
    managed_fields: Untouched = None
    owner_references: Untouched = None
    self_link: Untouched = None


class ConnectionRef(Part):
    """Which orchestrator the pool belongs to."""

    name: str = Field(
        default="default",
        pattern=NAME_PATTERN,
        max_length=63,
        description="An OrchestratorConnection in the same namespace; `paddock up` ignores it.",
    )


class Spec(Part):
    """What is wanted."""

    agent_id: str | None = Field(
        default=None,
        max_length=63,
        description="The agent callers name when they start a session; default: the object's "
        "name. It cannot be changed.",
        json_schema_extra={"pattern": NAME_PATTERN},
    )
    connection_ref: ConnectionRef = Field(
        default_factory=ConnectionRef, description="Which orchestrator the pool belongs to."
    )
    sessions_per_runner: int = Field(ge=1, le=1000, description="Sessions one runner takes.")
    replicas: Runners | None = Field(
        default=None, description="A fixed number of runners; left out, the pool scales itself."
    )
    paused: PausedWord = Field(default="None", description="What is stopped for now.")
    sessions: Sessions = Field(default_factory=Sessions, description="Treatment of sessions.")
    scaling: Scaling = Field(default_factory=Scaling, description="The pool's size.")
    drain: Drain = Field(default_factory=Drain, description="How a runner leaves.")
    rollout: Rollout = Field(default_factory=Rollout, description="How runners are replaced.")
    disruption: Disruption = Field(
        default_factory=Disruption, description="Protection against the cluster's own doings."
    )
    fallback: Fallback = Field(
        default_factory=Fallback, description="What to do without statistics."
    )
    failure: Failure = Field(default_factory=Failure, description="Retries of failed starts.")
    template: PodTemplate = Field(description="The runner's pod.")


class AgentDeployment(Part):
    """A pool of runners for one agent, as declared by its owner."""

    api_version: Literal["paddock.dev/v1alpha1"] = Field(description="Version of this schema.")
    kind: Literal["AgentDeployment"] = Field(description="Kind of the object.")
    metadata: Metadata = Field(description="Name, labels and annotations.")
    spec: Spec = Field(description="What is wanted.")
    status: dict[str, object] | None = Field(
        default=None, description="Written by the operator; ignored when read."
    )

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.metadata.name

    @property
    def agent_id(self) -> str:
        """The agent's id: the one given, or else the pool's name."""
        return self.spec.agent_id if self.spec.agent_id is not None else self.metadata.name
