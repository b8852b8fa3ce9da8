"""The pod template: a few declared fields in an otherwise untouched pod specification."""

from typing import Annotated, Literal

from pydantic import Field

from paddock_operator.model.base import OpenPart, Part, Seconds

Labels = dict[str, str]


class Container(OpenPart):
    """One container of the runner's pod; everything a Kubernetes container may say is kept."""

    name: str = Field(min_length=1, max_length=63, description="Name, unique within the pod.")
    image: str | None = Field(
        default=None, description="Image to run; `paddock up` runs the command instead."
    )


class PodSpec(OpenPart):
    """What a runner's pod is made of; fields that are not declared here are passed on."""

    containers: Annotated[
        tuple[Container, ...],
        Field(
            strict=False,
            min_length=1,
            max_length=16,
            description="Containers of the pod; the first one is the runner.",
        ),
    ]
    restart_policy: Literal["Never", "Always"] | None = Field(
        default=None,
        description="Never (default): a runner that dies is replaced. Always: kubelet restarts it.",
    )
    termination_grace_period_seconds: Seconds | None = Field(
        default=None,
        description="Left out, it follows drain.timeoutSeconds; it must not be shorter than that.",
    )


class TemplateMetadata(OpenPart):
    """Labels and annotations that every runner's pod carries."""

    labels: Labels = Field(default_factory=dict, description="Labels of the pods.")
    annotations: Labels = Field(default_factory=dict, description="Annotations of the pods.")


class PodTemplate(Part):
    """The pods to run. A change makes a new revision, and a roll-out."""

    metadata: TemplateMetadata = Field(
        default_factory=TemplateMetadata, description="Labels and annotations of the pods."
    )
    spec: PodSpec = Field(description="The Kubernetes pod specification of a runner.")

    def as_json(self) -> dict[str, object]:
        """The template as it was written, without the defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
