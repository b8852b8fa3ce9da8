"""kopf, used as an informer of our custom resources and for nothing else.

Event handlers alone: kopf writes nothing to our objects, keeps no state of them, and retries
nothing. What they see goes to the operator's own queue.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import kopf
from kopf._cogs.structs.references import Insights  # the only way to learn what kopf found
from kubernetes.aio.client import Configuration

from paddock_operator.backends.kubernetes.access import Access
from paddock_operator.backends.kubernetes.operator import Operator
from paddock_operator.backends.kubernetes.words import (
    AGENT_DEPLOYMENTS,
    CONNECTIONS,
    FINALIZER,
    GROUP,
    MANAGER,
    VERSION,
)

_IDENTITY: Any = MANAGER
"""Not used without peering; without it kopf looks up a user, whom a container may not have."""


class WatchEnded(Exception):
    """Nothing more would be seen of the custom resources: end the process."""


def watcher(
    access: Access, *, namespace: str = "", take_signals: Callable[[], None]
) -> Callable[[Operator], Any]:
    """The task that feeds an operator from the cluster, until cancelled.

    kopf takes the process's signals when it begins; `take_signals` takes them back.
    """

    async def watch(operator: Operator) -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        insights = Insights()
        taking = asyncio.create_task(_once(ready, take_signals))
        checking = asyncio.create_task(_stop_unless_all_served(insights, stop))
        try:
            await kopf.operator(
                registry=_registry(operator, access),
                identity=_IDENTITY,
                settings=_settings(),
                clusterwide=not namespace,
                namespaces=[namespace] if namespace else [],
                standalone=True,
                ready_flag=ready,
                stop_flag=stop,
                insights=insights,
            )
        except asyncio.CancelledError:
            stop.set()
            raise
        finally:
            taking.cancel()
            checking.cancel()
        missing = _unserved(insights)
        if missing:
            raise WatchEnded(
                f"the API server serves no {' and no '.join(missing)} of {GROUP}/{VERSION}: "
                "install the CRDs, or start again once it is up"
            )
        raise WatchEnded("kopf ended by itself; its log says why")

    return watch


async def _stop_unless_all_served(insights: Insights, stop: asyncio.Event) -> None:
    """kopf looks once, and then goes on without what it did not find, as after a restart of the
    API server, which serves custom resources a moment later than the rest."""
    await insights.ready_resources.wait()
    if _unserved(insights):
        stop.set()


def _unserved(insights: Insights) -> list[str]:
    found = {resource.plural for resource in insights.watched_resources}
    return sorted({AGENT_DEPLOYMENTS, CONNECTIONS} - found)


async def _once(ready: asyncio.Event, then: Callable[[], None]) -> None:
    await ready.wait()
    then()


def _registry(operator: Operator, access: Access) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _connection_info(await access())

    @kopf.on.event(GROUP, VERSION, AGENT_DEPLOYMENTS, registry=registry)
    async def pool_seen(event: kopf.RawEvent, **_: Any) -> None:
        operator.pool_seen(event["type"], dict(event["object"]))

    @kopf.on.event(GROUP, VERSION, CONNECTIONS, registry=registry)
    async def connection_seen(event: kopf.RawEvent, **_: Any) -> None:
        operator.connection_seen(event["type"], dict(event["object"]))

    return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = f"{FINALIZER}-unused"
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.networking.request_timeout = 20.0
    settings.networking.connect_timeout = 5.0
    settings.watching.connect_timeout = 5.0
    settings.queueing.idle_timeout = 2.0
    settings.process.ultimate_exiting_timeout = 20.0
    return settings


async def _connection_info(configuration: Configuration) -> kopf.ConnectionInfo:
    """The cluster as the client reaches it."""
    token = await configuration.get_api_key_with_prefix("BearerToken") or ""
    scheme, _, value = token.partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert or None,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file or None,
        private_key_path=configuration.key_file or None,
        scheme=scheme or None,
        token=value or None,
        default_namespace=os.environ.get("POD_NAMESPACE", "default"),
    )
