"""What must hold of the tree as a whole."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("runner", "orchestrator", "operator")
PACKAGES = (
    "runner/paddock",
    "orchestrator/paddock_orchestrator",
    "operator/paddock_operator",
)
LONGEST = 600


def python_files() -> list[Path]:
    roots = (*FOLDERS, "observability", "tests", "examples")
    return sorted(path for root in roots for path in (ROOT / root).rglob("*.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_of_packages_are_no_packages(folder: str) -> None:
    """A package called `operator` in the working directory would hide the standard library's."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_test_folder_is_called_operator() -> None:
    assert [path for path in (ROOT / "tests").rglob("operator") if path.is_dir()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_public_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file()
    assert (ROOT / package / "py.typed").is_file()


def test_no_python_file_is_too_long() -> None:
    """One reason to change per module; a file that grows beyond this has several."""
    lengths = {path: len(path.read_text().splitlines()) for path in python_files()}

    assert lengths
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_paths_in_documents_are_of_files_that_are_there() -> None:
    """Those that are written as code; a page's links are looked at below."""
    tops = "|".join(
        [*FOLDERS, "charts", "crds", "deploy", "docs", "examples", "observability", "tests"]
    )
    paths = [
        (page.name, path)
        for page in (ROOT / "docs").rglob("*.md")
        for path in re.findall(rf"`((?:{tops})/[^`\s]*)`", page.read_text())
        if path != "operator/__init__.py"  # named because it must not be there
    ]

    assert paths
    assert [(page, path) for page, path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    ]

    assert links
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
