"""The chart installed for real, as a user does it, with calls that are live meanwhile."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from chart import deploy
from chart.installation import POOL, Done, Installation, volume
from chart.rendering import Json
from fakes.operated import Call
from fakes.processes import Process
from fakes.proxy import Proxy
from fakes.waiting import eventually
from paddock.client.callers import Outcome, Script, play
from paddock.client.client import AsyncClient
from paddock.client.text import TextChannel
from testbed.cluster import Cluster
from testbed.image_build import build_image
from testbed.places import CHECKOUT
from testbed.postgres import Postgres

pytestmark = [pytest.mark.realnode, pytest.mark.timeout(1200)]

WAIT = ("--wait", "--timeout=300s")
EXAMPLE = ["run", "examples/hello.py"]
SCRAPED: Json = {
    "env": [{"name": "PADDOCK_METRICS_PORT", "value": "9464"}],
    "ports": [{"name": "paddock-metrics", "containerPort": 9464}],
}
"""Of a runner whose metrics are looked at, as docs/operations.md has it."""
CALLS = 6
POOLS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agentdeployments.paddock.dev"


def good(done: Done) -> None:
    assert done.returncode == 0, done.stderr


async def first_call(installation: Installation) -> Outcome:
    """The first one that is served."""
    async with installation.client(retries=0) as client:

        async def served() -> Outcome | None:
            outcome = await play(client, POOL, Script(lines=("Hello!",)))
            return outcome if outcome.kind == "completed" else None

        found = await eventually(served, within_s=120, what="first call")
    assert isinstance(found, Outcome)
    return found


async def test_after_an_installation_a_pool_is_all_that_a_call_needs(
    installation: Installation, image: str
) -> None:
    """Two operators are ready, of which one stands by. Prometheus would find metrics of all."""
    good(installation.install(*WAIT, operator={"replicas": 2}))
    installation.declare(replicas=1, args=EXAMPLE, **SCRAPED)

    outcome = await first_call(installation)

    assert outcome.answers_ms
    assert len([name for name in installation.names("pods") if "operator" in name]) == 2
    leader = f'paddock_operator_leader{{lease_namespace="{installation.namespace}"}}'
    shown = {
        "paddock-operator": [f"{leader} 0", f"{leader} 1"],
        "paddock-orchestrator": ["paddock_orchestrator_store_up 1"],
        "paddock-runners": ['paddock_runner_capacity{agent="hello"} 10'],
    }
    monitors = installation.pod_monitors()
    assert {monitor["metadata"]["name"] for monitor in monitors} == shown.keys()
    async with httpx.AsyncClient(trust_env=False) as http:
        for monitor in monitors:
            targets = installation.targets(monitor)
            pages = [(await http.get(url)).text for url in targets]
            lines = shown[monitor["metadata"]["name"]]
            assert [any(line in page for page in pages) for line in lines] == [True] * len(lines)
            assert len(set(targets)) == len(targets) == len(lines)


@asynccontextmanager
async def call(client: AsyncClient) -> AsyncIterator[Call]:
    """A call that was begun."""
    started = await client.start(POOL)
    async with TextChannel.connect(started.text_url, started.token) as channel:
        made = Call(started.session_id, channel, answers="You said: {}")
        yield made
        await made.close()


async def talk(call: Call, over: asyncio.Event) -> None:
    """The caller says one thing after the other, hears the answer to each, and hangs up then."""
    turns = 0
    while turns < 5 or not over.is_set():
        turns += 1
        await call.ask(f"{turns}.", within_s=120)
        await asyncio.sleep(1.0)
    await call.hang_up()


def columns(cluster: Cluster) -> list[Json]:
    """What `kubectl get` shows of pools."""
    version = cluster.client.get(POOLS)["spec"]["versions"][0]
    shown: list[Json] = version.get("additionalPrinterColumns", [])
    return shown


def forget_columns(cluster: Cluster) -> None:
    """Make the definition that of an older version."""
    path = "/spec/versions/0/additionalPrinterColumns"
    cluster.client.must(
        "PATCH", POOLS, [{"op": "remove", "path": path}],
        content_type="application/json-patch+json",
    )  # fmt: skip
    assert not columns(cluster)


async def test_calls_go_on_through_an_upgrade_and_a_failed_one(
    installation: Installation, image: str, tmp_path: Path
) -> None:
    """The orchestrator and the operator are replaced under them; the records are on a volume."""
    persistent: Json = {"storage": {"persistent": True}}
    with volume(installation.cluster, installation.namespace, tmp_path):
        good(installation.install(*WAIT, orchestrator=persistent))
        installation.declare(args=EXAMPLE)
        first = await first_call(installation)
        before = installation.orchestrator_uid()
        over = asyncio.Event()
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(installation.client())
            calls = [await stack.enter_async_context(call(client)) for _ in range(CALLS)]
            talking = [asyncio.create_task(talk(each, over)) for each in calls]

            wrong = await asyncio.to_thread(
                installation.upgrade, "--timeout=6s",
                image={**installation.values["image"], "tag": "not-there"},
                orchestrator=persistent,
            )  # fmt: skip
            assert wrong.returncode != 0
            assert "pre-upgrade" in wrong.stderr
            assert installation.orchestrator_uid() == before

            forget_columns(installation.cluster)
            changed: Json = {"podAnnotations": {"example.com/change": "1"}}
            good(
                await asyncio.to_thread(
                    installation.upgrade, *WAIT, orchestrator=persistent | changed, operator=changed
                )
            )
            assert installation.orchestrator_uid() != before
            assert columns(installation.cluster), "the definitions were not upgraded"
            over.set()
            await asyncio.gather(*talking)

        async with installation.client() as client:
            kept = {one.session_id for one in (await client.sessions.list()).sessions}
        assert {first.session_id, *(each.session_id for each in calls)} <= kept


@pytest.mark.postgres
async def test_records_in_postgresql_outlive_the_pod_and_need_no_volume(
    installation: Installation, image: str, shared_postgres: Postgres
) -> None:
    machine = installation.cluster.machine
    async with Proxy(shared_postgres.port, address=machine) as way:
        url = shared_postgres.create().replace(
            f"127.0.0.1:{shared_postgres.port}", f"{machine}:{way.port}"
        )
        installation.secret("records", url=url)
        database: Json = {
            "database": {"existingSecret": "records", "port": way.port},
            "storage": {"persistent": True},
        }
        good(await asyncio.to_thread(installation.install, *WAIT, orchestrator=database))
        assert installation.names("persistentvolumeclaims") == []
        installation.declare(args=EXAMPLE)
        first = await first_call(installation)
        await asyncio.to_thread(installation.kill_orchestrator)
        second = await first_call(installation)
        async with installation.client() as client:
            kept = {one.session_id for one in (await client.sessions.list()).sessions}
        assert second.answers_ms
        assert {first.session_id, second.session_id} <= kept
        await asyncio.to_thread(installation.withdraw)
        good(await asyncio.to_thread(installation.uninstall, "--wait"))


async def test_uninstalling_is_refused_while_a_call_is_live_and_clean_afterwards(
    installation: Installation, image: str
) -> None:
    good(installation.install(*WAIT))
    installation.declare(args=EXAMPLE)
    await first_call(installation)
    async with installation.client() as client:
        started = await client.start(POOL)
        async with TextChannel.connect(started.text_url, started.token) as channel:
            await eventually(lambda: _says(installation, "1 live"), within_s=120, what="refusal")
            good(await asyncio.to_thread(installation.rollback, 1))
            assert channel.is_live()
            await channel.hangup()

    await asyncio.to_thread(installation.withdraw)
    good(await asyncio.to_thread(installation.uninstall, "--wait"))

    assert installation.names("secrets", "serviceaccounts", "roles", "rolebindings") == []
    await eventually(lambda: installation.names("all") == [], within_s=120, what="pods gone")
    assert installation.runners() == []


async def test_calls_of_runners_outside_of_pools_are_in_the_way_of_uninstalling(
    installation: Installation, image: str, tmp_path: Path
) -> None:
    good(installation.install(*WAIT))
    service = installation.core("services", "paddock-orchestrator").body["spec"]["clusterIP"]
    outside = Process(tmp_path, "outside")
    url, key = f"http://{service}:8600", installation.keys()["runnerKey"]
    example = str(CHECKOUT / "examples/hello.py")
    words = [sys.executable, "-m", "paddock", "run", example, "--url", url, "--api-key", key]
    outside.spawn(words, {})
    try:
        await first_call(installation)
        async with installation.client() as client:
            started = await client.start(POOL)
            done = await asyncio.to_thread(installation.uninstall)
            assert done.returncode != 0
            assert f"{POOL}: 1 live call(s) on 1 runner(s)" in done.stdout + done.stderr
            await client.sessions.end(started.session_id)
        await eventually(lambda: _goes(installation), within_s=120, what="uninstalled")
    finally:
        outside.kill()


async def _goes(installation: Installation) -> bool:
    done = await asyncio.to_thread(installation.uninstall)
    return done.returncode == 0


async def _says(installation: Installation, calls: str) -> bool:
    """Whether an attempt to uninstall is refused, with the pool and that many calls."""
    done = await asyncio.to_thread(installation.uninstall)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "1 pool(s) are declared" in said
    assert f"delete agentdeployments {POOL}" in said
    assert installation.core("pods", "paddock-orchestrator-0").ok
    return f"{installation.namespace}/{POOL}: {calls}" in said


def test_an_image_that_cannot_be_had_installs_nothing_and_a_good_one_mends_it(
    installation: Installation, image: str
) -> None:
    done = installation.install("--timeout=5s", image={"repository": "localhost/paddock/none"})

    assert done.returncode != 0
    assert "pre-install" in done.stderr
    assert installation.names("deployments", "statefulsets", "secrets", "services", "roles") == []
    good(installation.upgrade("--install", *WAIT))


async def test_kubectl_alone_installs_the_same(
    cluster: Cluster, image: str, tmp_path: Path
) -> None:
    """deploy/, with the steps of docs/install.md; the records stay when the rest is deleted."""
    cluster.client.create("/api/v1/namespaces", {"metadata": {"name": deploy.NAMESPACE}})
    made = Installation(cluster, deploy.NAMESPACE)
    objects = re.sub(r"REGISTRY/paddock:[^\"]+", image, deploy.KEPT.read_text())
    objects = objects.replace("IfNotPresent", "Never")
    try:
        with volume(cluster, made.namespace, tmp_path):
            keys = {"apiKey": "sk_", "publicKey": "pk_", "runnerKey": "rk_"}
            texts = [f"--from-literal={name}={start}{'x' * 30}" for name, start in keys.items()]
            run = partial(cluster.kubectl_run, "-n", made.namespace)
            run("create", "secret", "generic", "paddock-keys", *texts)
            run("apply", "--server-side", "-f", str(deploy.RECORDS))
            run("apply", "--server-side", "-f", "-", stdin=objects)
            run("rollout", "status", "deployment/paddock-operator", "--timeout=170s")
            made.declare(args=EXAMPLE)

            assert (await first_call(made)).kind == "completed"

            made.withdraw()
            run("delete", "--wait=false", "-f", "-", stdin=objects)
            claim = made.core("persistentvolumeclaims", "paddock-orchestrator").body
            assert "deletionTimestamp" not in claim["metadata"]
    finally:
        cluster.client.delete(f"/api/v1/namespaces/{made.namespace}")


async def test_three_lines_make_an_image_of_an_agent(
    installation: Installation, image: str, tmp_path: Path
) -> None:
    """Those of examples/Dockerfile; the pool names the image and nothing else."""
    example = CHECKOUT / "examples"
    lines = (example / "Dockerfile").read_text()
    (tmp_path / "Dockerfile").write_text(lines.replace("FROM paddock", f"FROM {image}"))
    (tmp_path / "hello.py").write_text((example / "hello.py").read_text())
    tag = "localhost/paddock/hello:test"
    installation.cluster.load_image(build_image(tmp_path, tag))
    good(installation.install(*WAIT, operator={"clusterWide": False}))

    installation.declare(image=tag)

    assert (await first_call(installation)).kind == "completed"
