"""What is found out before anything is made: by asking the cluster, not by trying."""

import base64
import secrets

import pytest

from chart.installation import Installation
from chart.rendering import Json
from testbed.cluster import Cluster

pytestmark = pytest.mark.api

GIVEN = {"apiKey": "sk_x", "publicKey": "pk_x", "runnerKey": "rk_x"}


def make_secret(cluster: Cluster, namespace: str, data: dict[str, str]) -> None:
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
    body = {"metadata": {"name": "given"}, "data": encoded}
    cluster.client.create(f"/api/v1/namespaces/{namespace}/secrets", body)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"pools": {"namespaces": ["not-there"]}},
            'pools.namespaces has "not-there", which is not in the cluster: kubectl',
        ),
        (
            {"keys": {"existingSecret": "given"}},
            'keys.existingSecret is "given", and namespace "{}" has no such secret: create it with',
        ),
        (
            {"orchestrator": {"database": {"existingSecret": "db"}}},
            'orchestrator.database.existingSecret is "db", and namespace "{}" has no such secret',
        ),
        (
            {"monitoring": {"podMonitors": True}},
            "monitoring.podMonitors is true, and the cluster has no monitoring.coreos.com/v1",
        ),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_made(
    installation: Installation, values: Json, said: str
) -> None:
    done = installation.install(**values)

    assert done.returncode != 0
    assert said.format(installation.namespace) in done.stderr
    assert installation.names("all", "secrets", "serviceaccounts", "roles") == []


def test_a_given_secret_without_a_key_is_refused_and_a_whole_one_taken(
    installation: Installation, cluster: Cluster, namespace: str
) -> None:
    values = {"keys": {"existingSecret": "given"}}
    make_secret(cluster, namespace, {"apiKey": "sk_x", "publicKey": "pk_x"})
    assert "that secret has no runnerKey: add it" in installation.install(**values).stderr

    path = f"/api/v1/namespaces/{namespace}/secrets/given"
    cluster.client.merge(path, {"stringData": GIVEN})
    assert installation.install("--no-hooks", **values).returncode == 0


def test_keys_outlive_upgrades(installation: Installation) -> None:
    """Also those of a namespace that is added later."""
    assert installation.install("--no-hooks").returncode == 0
    before = installation.keys()
    other = f"other-{secrets.token_hex(3)}"
    client = installation.cluster.client
    client.create("/api/v1/namespaces", {"metadata": {"name": other}})

    pools = {"namespaces": [installation.namespace, other]}
    assert installation.upgrade("--no-hooks", pools=pools).returncode == 0

    assert installation.keys() == before
    copied = client.get(f"/api/v1/namespaces/{other}/secrets/paddock-keys")["data"]
    assert base64.b64decode(copied["apiKey"]).decode() == before["apiKey"]
    client.delete(f"/api/v1/namespaces/{other}")


def test_a_second_operator_of_all_namespaces_is_refused(
    installation: Installation, cluster: Cluster
) -> None:
    assert installation.install("--no-hooks").returncode == 0
    name = f"second-{secrets.token_hex(3)}"
    cluster.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    second = Installation(cluster, name)

    done = second.install("--no-hooks")

    assert done.returncode != 0
    assert 'ClusterRole "paddock-operator"' in done.stderr
    assert second.names("all", "secrets", "serviceaccounts") == []
    second.remove()
    cluster.client.delete(f"/api/v1/namespaces/{name}")
