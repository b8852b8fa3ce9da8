"""`docs/drain.md` names tests that there are, and at least one in each row of its tables."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "drain.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)))
ROWS = [
    line
    for line in PAGE.partition("### Races")[2].splitlines()
    if line.startswith("| ") and not line.endswith("| test |")
]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    sources = [path.read_text() for path in (ROOT / "tests").rglob(file)]
    assert any(re.search(rf"^(async )?def {name}\(", source, re.M) for source in sources)


def test_every_row_names_a_test() -> None:
    assert len(ROWS) > 40
    assert [row for row in ROWS if "::test_" not in row] == []
