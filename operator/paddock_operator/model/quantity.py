"""Sizes written as a whole number or as a percentage: `4` or `"25%"`."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

PERCENT_PATTERN = "^(100|[1-9]?[0-9])%$"
"""Zero to a hundred percent, without sign, fraction or leading zero."""

LARGEST = 2**31 - 1

EXPECTED = 'expected a whole number of at least 0, or a percentage like "25%"'

_PERCENT = re.compile(r"(100|[1-9]?[0-9])%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Size:
    """A count, or a share of something that is only known later."""

    amount: int
    percent: bool = False

    @classmethod
    def parse(cls, value: object) -> "Size":
        """Read a non-negative int or a percentage; ValueError says what was expected."""
        if isinstance(value, Size):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
            return cls(value)
        if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
            return cls(int(match[1]), percent=True)
        raise ValueError(EXPECTED)

    def of(self, total: int) -> int:
        """The count itself, or its share of `total` rounded up to at least 1 (zero stays zero)."""
        if not self.percent:
            return self.amount
        if self.amount == 0:
            return 0
        return max(1, -(-self.amount * total // 100))

    def reserve(self, demand: int) -> int:
        """How many to keep free beside `demand`, so that this share of the *whole* is free.

        25 % beside 12 in use is 4: a quarter of the 16 is free. All of the whole cannot be free
        while some is in use, so 100 % counts as 99 %.
        """
        if not self.percent:
            return self.amount
        share = min(self.amount, 99)
        return -(-share * demand // (100 - share))

    def __str__(self) -> str:
        return f"{self.amount}%" if self.percent else str(self.amount)

    def as_json(self) -> int | str:
        """As it is written in a manifest."""
        return str(self) if self.percent else self.amount


def _validate(value: object) -> Size:
    try:
        return Size.parse(value)
    except ValueError as error:
        raise PydanticCustomError(
            "int_or_percent", "{expected}", {"expected": str(error)}
        ) from None


IntOrPercent = Annotated[
    Size,
    PlainValidator(_validate),
    PlainSerializer(Size.as_json),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LARGEST},
                {"type": "string", "pattern": PERCENT_PATTERN},
            ]
        }
    ),
]
"""The type of manifest fields that take either form."""
