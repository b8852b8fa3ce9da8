"""Where an orchestrator may be, and what a connection must say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock_operator.model.connection import (
    CONNECTION_RULES,
    URL_PATTERN,
    OrchestratorConnection,
)
from paddock_operator.model.examine import examine
from paddock_operator.model.kinds import ORCHESTRATOR_CONNECTION
from paddock_operator.model.problems import Problem
from unit.model.manifests import CONNECTION, changed_data
from unit.model.samples import (
    BAD_CONNECTION_FIELDS,
    CONNECTION_BREACHES,
    GOOD_URLS,
    Bad,
)


def connection(**changes: object) -> OrchestratorConnection | list[Problem]:
    return examine(ORCHESTRATOR_CONNECTION, changed_data(CONNECTION, changes), "-", {})


@pytest.mark.parametrize("bad", [*CONNECTION_BREACHES, *BAD_CONNECTION_FIELDS], ids=str)
def test_each_rule_refuses_its_breach_by_name(bad: Bad) -> None:
    problems = connection(**bad.change)

    assert isinstance(problems, list)
    assert [(problem.rule, problem.field) for problem in problems] == [(bad.rule, bad.field)]


def test_every_rule_has_a_breach_among_these_tests() -> None:
    tried = {(bad.rule, bad.field) for bad in CONNECTION_BREACHES}

    assert {(rule.name, rule.field) for rule in CONNECTION_RULES} == tried


@pytest.mark.parametrize(("url", "insecure"), GOOD_URLS)
def test_good_addresses_are_taken(url: str, insecure: bool) -> None:
    assert isinstance(
        connection(spec__url=url, spec__allowInsecure=insecure), OrchestratorConnection
    )


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("https://paddock.example/", "https://paddock.example"),
        ("https://paddock", "https://paddock"),
        ("http://paddock:8600/base", "http://paddock.acme.svc:8600/base"),
        ("http://paddock", "http://paddock.acme.svc"),
        ("http://paddock.other.svc:8600", "http://paddock.other.svc:8600"),
        ("http://localhost:8600", "http://localhost:8600"),
        ("http://[::1]:8600", "http://[::1]:8600"),
    ],
)
def test_a_lone_label_is_a_service_beside_the_connection(written: str, used: str) -> None:
    found = connection(spec__url=written, spec__allowInsecure=True)

    assert isinstance(found, OrchestratorConnection)
    assert found.url_from("acme") == used


_formed = st.from_regex(URL_PATTERN, fullmatch=True, alphabet=st.characters(codec="ascii"))
_brackets = st.text("0123456789abF:.", max_size=24).map(lambda host: f"https://[{host}]")
_ports = st.integers(0, 99999).map(lambda port: f"http://paddock:{port}")


@given(url=st.one_of(_formed, _brackets, _ports))
def test_every_address_that_is_taken_can_be_used(url: str) -> None:
    found = connection(spec__url=url, spec__allowInsecure=True)

    if isinstance(found, OrchestratorConnection):
        assert found.url_from("acme")


@given(host=st.ip_addresses(v=6).map(str).filter(lambda host: "." not in host))
def test_every_ipv6_address_is_taken(host: str) -> None:
    assert isinstance(connection(spec__url=f"https://[{host}]"), OrchestratorConnection)
