"""For pytest: one cluster per session, one namespace per test; and PostgreSQL servers."""

import contextlib
import os
import re
import secrets
import sys
from collections.abc import Iterator

import pytest

from testbed import cluster as clusters
from testbed import packages, prepare
from testbed.cluster import Cluster
from testbed.control_plane import ControlPlane
from testbed.places import clusters_folder, keep_logs
from testbed.plugin import TIERS, one_at_a_time, required, tier_of
from testbed.postgres import Postgres, running
from testbed.real_node import RealNode
from testbed.waiting import wait_until


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster with all tiers the selected tests are marked with; one in each process.

    It is the one `PADDOCK_TEST_KUBECONFIG` names, or a throw-away one of this session.
    """
    given = clusters.existing()
    if given is not None:
        yield given
        return
    with one_at_a_time():  # two that remove the same would be in each other's way
        clusters.sweep()
    name = f"pytest-{os.getpid()}"
    made = clusters.up(name, request.config.stash[TIERS].possible, say=_say)
    failed = request.session.testsfailed
    yield made
    if request.session.testsfailed > failed:
        _say(f"the cluster's logs are kept in {keep_logs(clusters_folder() / name)}")
    clusters.down(clusters_folder() / name)


@pytest.fixture(scope="session")
def prometheus_tools(request: pytest.FixtureRequest) -> None:
    """`prometheus` and `promtool` are there; installed first where tiers are prepared.

    Without them tests are skipped with the reason; where every tier is required they fail.
    """
    if request.config.option.prepare_tiers:
        with one_at_a_time():
            if packages.missing(packages.PROMETHEUS):
                prepare.install(sorted(set(packages.PROMETHEUS.values())), _say)
    for need, package in packages.missing(packages.PROMETHEUS).items():
        lack = f"{need} is missing; as root on Debian: apt-get install {package}"
        pytest.fail(lack) if required() else pytest.skip(lack)


@pytest.fixture
def control_plane(cluster: Cluster) -> Iterator[ControlPlane]:
    """The cluster's own processes, to stop and freeze. All is mended after the test.

    Skips where the cluster is not ours to break.
    """
    plane = cluster.control_plane
    if plane is None:
        pytest.skip(f"the cluster of {clusters.EXISTING} is not ours to break")
    yield plane
    if not plane.mend():
        return
    if cluster.fake_nodes is not None:
        cluster.fake_nodes.mend()
    if cluster.real_node is not None:
        cluster.real_node.look_anew()


@pytest.fixture
def real_node(cluster: Cluster) -> Iterator[RealNode]:
    """The processes of the real node, to stop and freeze. All is mended after the test.

    Skips where the cluster is not ours to break.
    """
    node = cluster.real_node
    if node is None:
        pytest.skip(f"the node of {clusters.EXISTING} is not ours to break")
    yield node
    node.mend()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a fresh namespace, ready for pods. Deleted afterwards, without waiting."""
    assert tier_of(request.node), f"mark {request.node.name} with the tier it needs"
    name = f"t-{_slug(request.node.name)}-{secrets.token_hex(3)}"
    manifest = {"metadata": {"name": name, "labels": {"paddock.test/session": "testbed"}}}
    cluster.client.create("/api/v1/namespaces", manifest)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    wait_until(
        f"service account of {name}", lambda: cluster.client.ask("GET", account).ok, within_s=60
    )
    yield name
    with contextlib.suppress(ConnectionError):  # the test stopped the server, which is mended later
        # A controller-manager that starts with its server does not know our kinds at first, and
        # would let the namespace go before what is in it.
        for kind in ("agentdeployments", "orchestratorconnections"):
            cluster.client.ask("DELETE", f"/apis/paddock.dev/v1alpha1/namespaces/{name}/{kind}")
        cluster.client.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    """A PostgreSQL for all tests that leave it as it is."""
    with running() as server:
        yield server


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test's own, to kill and freeze."""
    with running() as server:
        yield server


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower().removeprefix("test_")).strip("-")[:40]


def _say(line: str) -> None:
    print(line, file=sys.stderr)
