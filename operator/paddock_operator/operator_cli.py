"""`paddock operator` and `paddock explain`."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import httpx

from paddock import logs as log_output
from paddock.cli.options import output_option
from paddock.cli.output import show
from paddock.pages import serve_pages
from paddock_operator.backends.kubernetes import dry_run as plans
from paddock_operator.backends.kubernetes.access import access
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import KubeError, NoAccess
from paddock_operator.backends.kubernetes.learned import LearnedStates
from paddock_operator.backends.kubernetes.lease import Leadership, LeadershipLost
from paddock_operator.backends.kubernetes.operator import Operator
from paddock_operator.backends.kubernetes.permissions import missing_permissions
from paddock_operator.backends.kubernetes.probes import LoopWatch, probe_pages
from paddock_operator.backends.kubernetes.shell import WatchEnded, watcher
from paddock_operator.backends.kubernetes.words import LEASE
from paddock_operator.observe.explain import in_short
from paddock_operator.observe.metrics import Metrics

log = logging.getLogger("paddock.operator")


@dataclass(frozen=True, slots=True)
class Options:
    kubeconfig: Path | None
    context: str | None
    namespace: str
    lease_namespace: str
    probe_host: str
    probe_port: int


@click.command(epilog="Example: paddock explain support-en --namespace voice")
@click.argument("pool")
@click.option("--namespace", default="default", show_default=True)
@click.option(
    "--operator", "url", default="http://127.0.0.1:8601", show_default=True,
    help="Where its probes are; `kubectl port-forward` brings them here.",
)  # fmt: skip
@click.option("-n", "--last", default=5, show_default=True, help="How many decisions.")
@output_option
def explain(pool: str, namespace: str, url: str, last: int, output: str) -> None:
    """The operator's last decisions about a pool, with what they were made from."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/explain", timeout=10.0, trust_env=False)
        answer.raise_for_status()
        pools = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as why:
        raise click.ClickException(f"the operator does not answer at {url}: {why}") from None
    decisions = pools.get(f"{namespace}/{pool}")
    if decisions is None:
        known = ", ".join(sorted(pools)) or "none"
        raise click.ClickException(f"no pool {namespace}/{pool} here; there is: {known}")
    if output != "table":
        show(decisions[-last:], output, ())
        return
    for decision in decisions[-last:]:
        for line in _explained(decision):
            click.echo(line)


def _explained(decision: dict[str, Any]) -> Iterator[str]:
    at = datetime.fromtimestamp(decision["until"], UTC).strftime("%H:%M:%S")
    times = f" ({decision['passes']} passes)" if decision["passes"] > 1 else ""
    yield f"{at}Z{times} {decision['sentence']}"
    sample = decision["sample"]
    shown = ("in_flight", "queued", "ready", "starting", "draining_sessions", "arrivals")
    yield "    from: " + ", ".join(f"{name.replace('_', ' ')} {sample[name]}" for name in shown)
    for action in decision["actions"]:
        yield f"    did: {_in_words(action)}"


def _in_words(action: dict[str, Any]) -> str:
    whom = f": {', '.join(action['runners'])}" if action["runners"] else ""
    return f"{action['action']} {action['count']}{whom}"


@click.command(epilog="Example: paddock operator --kubeconfig ~/.kube/config --namespace voice")
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How to reach the cluster; inside one the pod's service account is used.",
)  # fmt: skip
@click.option("--context", help="The kubeconfig's context; its current one without.")
@click.option("--namespace", default="", help="Look after this namespace only; all without.")
@click.option(
    "--lease-namespace", default="",
    help="Where the lease is that makes one of several operators the only one at work. Without: "
    "--namespace, else $POD_NAMESPACE, else default.",
)  # fmt: skip
@click.option(
    "--probe-host", default="127.0.0.1", show_default=True,
    help="Address of /healthz, /readyz and /metrics; 0.0.0.0 inside a pod.",
)  # fmt: skip
@click.option("--probe-port", default=8601, show_default=True, help="0: any free port.")
@click.option("--dry-run", is_flag=True, help="Print what would be done now, do nothing, end.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
)
def operator(
    kubeconfig: Path | None,
    context: str | None,
    namespace: str,
    lease_namespace: str,
    probe_host: str,
    probe_port: int,
    dry_run: bool,
    log_format: str,
    log_level: str,
) -> None:
    """Keep the pools of a cluster's AgentDeployments: runner pods that come and go with the calls.

    Runs until SIGTERM or Ctrl-C; runners and their calls do not notice when it is away. Started
    twice, the second one waits until the first is gone. Exit code 1: no cluster, a permission that
    is missing, or the lease was lost.
    """
    log_output.configure(log_format, log_level)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    options = Options(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        lease_namespace=lease_namespace or namespace or os.environ.get("POD_NAMESPACE", "default"),
        probe_host=probe_host,
        probe_port=probe_port,
    )
    try:
        if dry_run:
            asyncio.run(_print_plans(options))
        else:
            asyncio.run(_until_stopped(options))
    except (NoAccess, KubeError, LeadershipLost, WatchEnded, _MayNot) as why:
        raise click.ClickException(str(why)) from None
    except OSError as why:
        raise click.ClickException(f"--probe-port {probe_port}: {why.strerror or why}") from None


class _MayNot(Exception):
    """The operator lacks permissions."""


async def _print_plans(options: Options) -> None:
    # It would tell of what is only planned as if it were done.
    logging.getLogger("paddock.reconciler").setLevel(logging.WARNING)
    async with KubeClient.connect(options.kubeconfig, options.context) as client:
        learned = LearnedStates(client, options.lease_namespace)
        intended = await plans.dry_run(client, options.namespace, learned)
    if not intended:
        click.echo(f"no AgentDeployment in {options.namespace or 'any namespace'}")
    for one in intended:
        click.echo(f"{one.pool}: {one.sentence or 'nothing'}")
        if one.problem:
            click.echo(f"    but: {one.problem}")
        for action in in_short(one.actions):
            click.echo(f"    would: {_in_words(action)}")


async def _until_stopped(options: Options) -> None:
    loop = asyncio.get_running_loop()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)

    work = asyncio.create_task(_operate(options, take_signals))
    take_signals()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    if work.cancelled():
        log.info("stopped")


async def _operate(options: Options, take_signals: Callable[[], None]) -> None:
    metrics = Metrics(time.time)
    way = access(options.kubeconfig, options.context)

    def connect() -> KubeClient:
        return KubeClient.connect(
            options.kubeconfig, options.context, observe=metrics.record_request
        )

    # The lease has a client of its own: it must not wait behind a thousand creates.
    async with connect() as client, connect() as lease_client:
        missing = await missing_permissions(client, options.namespace, options.lease_namespace)
        if missing.needed:
            raise _MayNot("the operator may not " + "; may not ".join(missing.needed))
        for permission in missing.wanted:
            log.warning("may_not", extra={"what": permission})
        learned = LearnedStates(client, options.lease_namespace)
        operator = Operator(client, metrics, learned, namespace=options.namespace)
        identity = f"{socket.gethostname()}.{os.getpid()}"
        leadership = Leadership(lease_client, options.lease_namespace, LEASE, identity)
        loop = LoopWatch()
        pages = probe_pages(operator, leadership, metrics, loop)
        async with serve_pages(pages, options.probe_host, options.probe_port) as port:
            log.info("standing_by", extra={"namespace": options.namespace or "all", "probes": port})
            try:
                async with asyncio.TaskGroup() as group:
                    watching = group.create_task(loop.run(metrics))
                    async with leadership:
                        watch = watcher(way, namespace=options.namespace, take_signals=take_signals)
                        await operator.run(watch)
                    watching.cancel()
            except BaseExceptionGroup as several:
                raise _first(several) from None


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of several failures, however deep it lies."""
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
