"""`docs/protocol.md` names every frame and every field of every frame."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from paddock.protocol import bridge, closing, control, features
from paddock.protocol.words import EndReason, Refusal

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()


def frames() -> list[tuple[str, type[Any]]]:
    found: dict[type[Any], str] = {}
    for module in (control, bridge):
        for name in vars(module):
            kind = getattr(module, name)
            if (
                not name.startswith("_")
                and isinstance(kind, type)
                and issubclass(kind, msgspec.Struct)
            ):
                tag = kind.__struct_config__.tag
                if tag is not None:
                    found[kind] = str(tag)
    return sorted(((tag, kind) for kind, tag in found.items()), key=lambda each: each[0])


def section(name: str) -> str:
    """The text under the frame's heading, up to the next heading."""
    found = re.search(rf"^#+ `{re.escape(name)}`.*?$(.*?)(?=^#+ |\Z)", PAGE, re.M | re.S)
    assert found is not None, f"no section `{name}`"
    return found[1]


@pytest.mark.parametrize(
    ("tag", "kind"), frames(), ids=[f"{tag}-{kind.__name__}" for tag, kind in frames()]
)
def test_every_frame_has_a_section_with_its_fields(tag: str, kind: type[Any]) -> None:
    text = section(tag)
    fields = [field.encode_name for field in msgspec.structs.fields(kind)]

    assert [field for field in fields if f"`{field}`" not in text] == []


@pytest.mark.parametrize("kind", [control.Capabilities, control.HeldSession])
def test_objects_inside_frames_have_their_fields(kind: type[Any]) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(kind)]

    assert [field for field in fields if f"`{field}`" not in section("register")] == []


def test_closed_sets_of_words_are_listed() -> None:
    words = [*features.ALL, *Refusal, *EndReason]

    assert [str(word) for word in words if f"`{word}`" not in PAGE] == []


def test_close_codes_are_listed() -> None:
    codes = [code for name, code in vars(closing).items() if name.isupper() and code != 1000]
    numbers = [code for code in codes if isinstance(code, int)]

    assert numbers
    assert [code for code in numbers if f"`{code}`" not in PAGE] == []
