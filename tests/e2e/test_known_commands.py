"""Commands of pages that no test types, because other tests run the same."""

import importlib.util
import os
import re
import subprocess

import pytest

from e2e.pages import KNOWN, ON_A_CLUSTER, RUN_BY, run_by
from testbed.places import CHECKOUT

TARGETS = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
INSTALLED = "On a cluster in five commands"
DEVELOPERS = [
    line
    for block in run_by(KNOWN)
    if block.section != INSTALLED
    for line in block.commands.splitlines()
]


def is_there(command: str) -> bool:
    """The target of make, the module or the program that it names."""
    if target := re.match(r"(?:eval .\$\()?make (?:-s )?([a-z-]+)", command):
        return target[1] in TARGETS
    python = r"(?:PYTHONPATH=tests )?\.venv/bin/python (?:-W ignore )?-m (\S+)"
    if module := re.match(python, command):
        return importlib.util.find_spec(module[1]) is not None
    return command.startswith((".venv/bin/paddock --help", "cp crds/* charts/paddock/crds"))


@pytest.mark.parametrize("command", DEVELOPERS)
def test_a_command_for_developers_is_there(command: str) -> None:
    assert is_there(command)


def test_make_runs_the_demo_and_the_tests_that_the_readme_promises() -> None:
    """The demo is the program that test_demo.py plays; the tests are what .ci/run runs."""
    # As in a stranger's shell: a make that runs a part of the tests hands on which.
    handed_on = ("MAKEFLAGS", "MAKEOVERRIDES", "TESTS")
    environ = {name: value for name, value in os.environ.items() if name not in handed_on}
    for target, runs in (("demo", "examples/demo"), ("test", "-m pytest .* tests")):
        done = subprocess.run(
            ["make", "-n", "--no-print-directory", target],
            cwd=CHECKOUT, capture_output=True, text=True, check=True, env=environ,
        )  # fmt: skip
        assert re.search(f" {runs}$", done.stdout.rstrip())
    assert {"make check", "make test"} <= set((CHECKOUT / ".ci/run").read_text().splitlines())


def test_the_readme_installs_by_the_commands_of_the_page_of_the_installation() -> None:
    page = {line for block in run_by(ON_A_CLUSTER) for line in block.commands.splitlines()}
    readme = [
        re.sub(" +# .*", "", command).replace("hello.yaml", "- <<'END'")
        for block in run_by(KNOWN)
        if block.section == INSTALLED
        for line in block.commands.splitlines()
        for command in line.split(" && ")
    ]

    assert len(readme) == 6
    assert [command for command in readme if command not in page] == []


def test_every_shell_command_of_every_page_is_of_a_test() -> None:
    """`run_by` fails for a block that is nobody's, and for a fence that does not say what it is."""
    tests = {test for sections in RUN_BY.values() for test in sections.values()}

    assert all(run_by(test) for test in tests)
    assert [t for t in tests if "run_by(" not in (CHECKOUT / "tests" / t).read_text()] == []
    assert RUN_BY.keys() == {block.page for test in tests for block in run_by(test)}
