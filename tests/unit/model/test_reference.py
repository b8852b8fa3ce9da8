"""The manifest's reference page is the one that the model writes."""

from pathlib import Path

from paddock_operator.model.reference import markdown
from paddock_operator.model.rules import RULES

PAGE = Path(__file__).parents[3] / "docs" / "agentdeployment.md"


def test_page_is_what_the_model_writes() -> None:
    """Write it anew with `python -m paddock_operator.model.reference > docs/agentdeployment.md`."""
    assert markdown() == PAGE.read_text()


def test_page_has_every_rule() -> None:
    page = markdown()

    assert [rule.name for rule in RULES if f"`{rule.name}`" not in page] == []
