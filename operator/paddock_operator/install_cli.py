"""`paddock crds` and `paddock may-uninstall`: what an installation asks of a cluster."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from paddock.client.client import AsyncClient
from paddock.client.records import Agent
from paddock.errors import PaddockError
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import KubeError, NoAccess, NotFound
from paddock_operator.backends.kubernetes.words import FINALIZER, GROUP, pools_path
from paddock_operator.model.crd import DEFINITIONS, definition_yaml

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_MANAGER = "paddock-crds"
_STAY = "To stay installed: helm rollback RELEASE REVISION; helm list --uninstalling names both."
ASK_S = 5.0

_kubeconfig = click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How to reach the cluster; inside one the pod's service account is used.",
)  # fmt: skip


@click.command(epilog="Example: paddock crds | kubectl apply --server-side -f -")
@click.option("--apply", "to_cluster", is_flag=True, help="Apply them to the cluster instead.")
@_kubeconfig
def crds(to_cluster: bool, kubeconfig: Path | None) -> None:
    """Print this version's custom resource definitions."""
    if not to_cluster:
        click.echo("".join(map(definition_yaml, DEFINITIONS)), nl=False)
        return
    try:
        for name in asyncio.run(_apply(kubeconfig)):
            click.echo(f"{name} applied")
    except (NoAccess, KubeError) as why:
        raise click.ClickException(f"the definitions were not applied: {why}") from None


async def _apply(kubeconfig: Path | None) -> list[str]:
    async with KubeClient.connect(kubeconfig) as client:
        names = [f"{plural}.{GROUP}" for plural in DEFINITIONS]
        for name, definition in zip(names, DEFINITIONS.values(), strict=True):
            await client.apply(f"{_CRDS}/{name}", definition(), manager=_MANAGER)
        return names


@click.command(name="may-uninstall", epilog="Example: paddock may-uninstall --namespace voice")
@click.option(
    "--namespace", "namespaces", multiple=True, help="Several may be given; without: all."
)
@click.option(
    "--orchestrator", "url",
    help="Its sessions are in the way, too. The key is $PADDOCK_API_KEY; one that does not answer "
    "holds nothing up.",
)  # fmt: skip
@_kubeconfig
def may_uninstall(namespaces: tuple[str, ...], url: str | None, kubeconfig: Path | None) -> None:
    """Fail while pools are declared, and name them with their live calls.

    Whoever removes the operator and the orchestrator before the pools ends the calls and leaves
    pods that nobody keeps.
    """
    try:
        pools = asyncio.run(_pools(kubeconfig, namespaces or ("",)))
    except (NoAccess, KubeError) as why:
        raise click.ClickException(f"the pools cannot be listed: {why}") from None
    lines = list(refusal(pools) if pools else busy(asyncio.run(_agents(url)) if url else ()))
    for line in lines or ["no pool is declared and no call is live: nothing is in the way"]:
        click.echo(line)
    if lines:
        raise click.exceptions.Exit(1)


async def _agents(url: str) -> tuple[Agent, ...]:
    try:
        async with AsyncClient(base_url=url, timeout_s=ASK_S, retries=0) as client:
            return await client.agents.list()
    except PaddockError as why:
        click.echo(f"the orchestrator was not asked: {why}")
        return ()


async def _pools(kubeconfig: Path | None, namespaces: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with KubeClient.connect(kubeconfig) as client:
        for namespace in namespaces:
            try:
                found += (await client.list(pools_path(namespace))).items
            except NotFound:  # the kind itself is gone
                continue
    return found


def busy(agents: Sequence[Agent]) -> Iterator[str]:
    """The same of agents whose runners are in no pool; nothing when none has a call."""
    live = [agent for agent in agents if agent.in_flight + agent.queued]
    if not live:
        return
    calls = sum(agent.in_flight + agent.queued for agent in live)
    yield f"Not uninstalled: {calls} call(s) are live on runners that are in no pool."
    for agent in live:
        count = agent.in_flight + agent.queued
        yield f"  {agent.agent}: {count} live call(s) on {agent.runners} runner(s)"
    yield "Stop these runners, which wait for their calls, or: helm uninstall --no-hooks."
    yield _STAY


def refusal(pools: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Why these pools are in the way, and how to go on."""
    calls = sum(_calls(pool) for pool in pools)
    yield f"Not uninstalled: {len(pools)} pool(s) are declared, with {calls} live call(s)."
    for pool in pools:
        meta, runners = pool["metadata"], (pool.get("status") or {}).get("replicas", 0)
        leaving = ", already leaving" if "deletionTimestamp" in meta else ""
        where = f"{meta['namespace']}/{meta['name']}"
        yield f"  {where}: {_calls(pool)} live call(s) on {runners} runner(s){leaving}"
    yield "Delete them first. It waits for their calls, at most for drain.timeoutSeconds:"
    for namespace in sorted({pool["metadata"]["namespace"] for pool in pools}):
        names = [p["metadata"]["name"] for p in pools if p["metadata"]["namespace"] == namespace]
        yield f"  kubectl -n {namespace} delete agentdeployments {' '.join(sorted(names))}"
    yield (
        "Or go without them: helm uninstall --no-hooks. Live calls end then, the runners' pods "
        f"stay, and what is deleted later waits for the finalizer {FINALIZER}."
    )
    yield _STAY


def _calls(pool: Mapping[str, Any]) -> int:
    sessions = (pool.get("status") or {}).get("sessions") or {}
    return int(sessions.get("inFlight", 0)) + int(sessions.get("queued", 0))
