"""`paddock doctor`."""

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import entry_points

import click

from paddock.cli.failures import FAILED, Failure
from paddock.cli.group import INSTALL
from paddock.cli.options import example, output_option, server_options
from paddock.cli.output import show
from paddock.findings import Finding

GROUP = "paddock.checks"
"""Entry points `(kubeconfig, context, namespace) -> AsyncIterator[Finding]` of the extras."""
_MARKS = {"ok": ("ok", "green"), "doubtful": ("?", "yellow"), "wrong": ("WRONG", "red")}


@click.command(epilog=example("paddock doctor", "paddock doctor --cluster -n voice"))
@click.option("--cluster", is_flag=True, help="Look at a Kubernetes cluster, too.")
@click.option("--kubeconfig", help="How to reach it; else as kubectl does.")
@click.option("--context", help="The kubeconfig's context; its current one without.")
@click.option("-n", "--namespace", default="", help="Only this namespace; all without.")
@output_option
@server_options
def doctor(
    cluster: bool,
    kubeconfig: str | None,
    context: str | None,
    namespace: str,
    output: str,
    url: str | None,
    api_key: str | None,
) -> None:
    """Look at connection, keys, versions, clocks and, with --cluster, at definitions, permissions,
    the operator and its pools; say how to mend what is wrong.

    Nothing is changed. Exit code 1 when something is wrong.
    """
    looks = [_orchestrator(url, api_key)]
    if cluster or kubeconfig or context or namespace:
        looks.append(_cluster(kubeconfig, context, namespace))
    found = asyncio.run(_all(looks, aloud=output == "table"))
    if output != "table":
        show(found, output, ())
    bad = sum(finding.verdict == "wrong" for finding in found)
    if bad:
        raise Failure(f"{bad} of {len(found)} are wrong; see above how to mend them", FAILED)


async def _all(looks: list[AsyncIterator[Finding]], *, aloud: bool) -> list[Finding]:
    found = []
    for look in looks:
        async for finding in look:
            found.append(finding)
            if aloud:
                _say(finding)
    return found


def _say(finding: Finding) -> None:
    mark, colour = _MARKS[finding.verdict]
    click.echo(f"{click.style(f'{mark:<6}', fg=colour)} {finding.about}: {finding.found}")
    if finding.fix:
        click.echo(f"       mend: {finding.fix}")


async def _orchestrator(url: str | None, api_key: str | None) -> AsyncIterator[Finding]:
    from paddock.client.checks import orchestrator_findings

    async for finding in orchestrator_findings(url, api_key):
        yield finding


async def _cluster(
    kubeconfig: str | None, context: str | None, namespace: str
) -> AsyncIterator[Finding]:
    points = entry_points(group=GROUP)
    if not points:
        raise Failure(f"looking at a cluster needs more than the base package: {INSTALL}")
    for point in points:
        async for finding in point.load()(kubeconfig, context, namespace):
            yield finding
