"""What every part of a manifest has in common."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

NAME_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Seconds = Annotated[int, Field(ge=0, le=30 * 24 * 3600)]
SomeSeconds = Annotated[int, Field(ge=1, le=30 * 24 * 3600)]
"""A duration in whole seconds, at most thirty days."""

Runners = Annotated[int, Field(ge=0, le=100_000)]
SomeRunners = Annotated[int, Field(ge=1, le=100_000)]
Percent = Annotated[int, Field(ge=0, le=100)]


def matches(pattern: str, text: str) -> bool:
    """Whether `text` matches, as CEL and JSON Schema read it: ASCII, and `$` is the very end."""
    return re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None


class Part(BaseModel):
    """A closed, frozen object: camelCase outside, snake_case inside, no coercion of types.

    Types are strict because the API server's are: a manifest that `paddock up` takes must not be
    refused by `kubectl apply`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, alias_generator=to_camel
    )


class OpenPart(Part):
    """An object of which only some fields are ours to know; the others are kept as they are."""

    model_config = ConfigDict(extra="allow")
