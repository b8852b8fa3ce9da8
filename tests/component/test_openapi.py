"""Every documented operation answers every request as documented, and never with a failure."""

import asyncio
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from component.conftest import StartRunner
from fakes.processes import Server

EXAMPLES = int(os.environ.get("PADDOCK_EXAMPLES", "12"))
STREAMS = {"/v1/events", "/v1/internal/stats"}
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.mark.timeout(0)
async def test_answers_conform_to_the_documentation(server: Server, run_agent: StartRunner) -> None:
    await run_agent()
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    problems: list[str] = []
    for found in schema.get_all_operations():
        result: Any = found
        operation = result.ok()
        if operation.path not in STREAMS:
            await asyncio.to_thread(probe, server, operation, problems)
    assert not problems, "\n\n".join(problems)
    assert server.exit_code is None
    assert "Traceback" not in server.text()


def probe(server: Server, operation: Any, problems: list[str]) -> None:
    documented = set(operation.definition.raw["responses"])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(), st.booleans())
    def ask(case: Any, known: bool) -> None:
        if known and operation.method == "post" and "agent" in (case.path_parameters or {}):
            case.path_parameters["agent"] = "desk"
        headers = {"Authorization": f"Bearer {server.keys['private']}"}
        response = case.call(headers=headers, timeout=40)
        if response.status_code == 503 and "503" in documented:
            return
        case.validate_response(response, checks=[not_a_server_error, *CHECKS])

    try:
        ask()
    except BaseExceptionGroup as why:
        told = "; ".join(str(e) for e in why.exceptions)
        problems.append(f"{operation.label}: {told}"[:1500])
