"""A real API server takes the definitions, and refuses what the parser refuses."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock_operator.model.conditions import ConditionType
from paddock_operator.model.connection import CONNECTION_RULES
from paddock_operator.model.parse import ManifestError, parse_manifest
from paddock_operator.model.resource import parse_connection, parse_resource
from paddock_operator.model.revision import template_revision
from paddock_operator.model.rules import RULES
from paddock_operator.model.status import ConnectionStatus, status_json
from testbed.client import Answer
from testbed.cluster import Cluster
from testbed.places import CHECKOUT
from unit.model.manifests import CONNECTION, SMALLEST, changed, changed_data
from unit.model.samples import BAD_CONNECTIONS, BAD_POOLS, EDGES, GOOD_URLS, VALUES, Bad
from unit.model.statuses import FULL, condition

pytestmark = pytest.mark.api

Tried = Callable[[dict[str, Any]], Answer]

GROUP = "/apis/paddock.dev/v1alpha1"
MESSAGES = {(rule.name, rule.field): rule.message for rule in RULES}
CONNECTION_MESSAGES = {(rule.name, rule.field): rule.message for rule in CONNECTION_RULES}
POOL = yaml.safe_load(SMALLEST)


def path_of(namespace: str, kind: str = "agentdeployments") -> str:
    return f"{GROUP}/namespaces/{namespace}/{kind}"


@pytest.fixture(scope="module")
def tries(cluster: Cluster) -> Iterator[str]:
    """A namespace in which nothing is kept: one for all dry runs."""
    name = f"tries-{secrets.token_hex(3)}"
    labels = {"paddock.test/session": "testbed"}
    cluster.client.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    yield name
    cluster.client.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="module")
def tried(cluster: Cluster, tries: str) -> Tried:
    """What a create would be answered, asked as `kubectl apply` asks."""

    def ask(data: dict[str, Any]) -> Answer:
        path = path_of(tries, f"{data['kind'].lower()}s")
        return cluster.client.ask("POST", f"{path}?dryRun=All&fieldValidation=Strict", data)

    return ask


def causes(answer: Answer) -> list[tuple[str, str]]:
    """The field and message of each thing that was wrong."""
    listed = answer.body.get("details", {}).get("causes", [])
    return [(cause["field"], cause["message"]) for cause in listed] or [("", answer.message)]


def check_refusal(answer: Answer, bad: Bad, message: str) -> None:
    assert answer.status in (400, 422), answer.body
    field = "" if bad.rule == "unknown-field" else bad.at or bad.field
    said = [what for where, what in causes(answer) if where == field]
    assert any((bad.server or message) in what for what in said), causes(answer)


def made(cluster: Cluster, namespace: str, **changes: object) -> str:
    """The path of an AgentDeployment that was created."""
    cluster.client.create(path_of(namespace), changed_data(SMALLEST, changes))
    return f"{path_of(namespace)}/support-en"


def test_definitions_are_taken_without_a_warning(cluster: Cluster) -> None:
    cluster.kubectl_run(
        "apply", "--server-side", "--force-conflicts", "--validate=strict", "--warnings-as-errors",
        "--field-manager=paddock-testbed", "-f", str(CHECKOUT / "crds"),
    )  # fmt: skip

    for name in ("agentdeployments", "orchestratorconnections"):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}.paddock.dev"
        conditions = cluster.client.get(path)["status"]["conditions"]
        states = {each["type"]: each["status"] for each in conditions}
        assert states == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize(("base", "bad"), BAD_POOLS, ids=str)
def test_what_the_parser_refuses_is_refused(tried: Tried, base: str, bad: Bad) -> None:
    check_refusal(tried(bad.data(base)), bad, MESSAGES.get((bad.rule, bad.field), "…"))


@pytest.mark.parametrize(("base", "bad"), BAD_CONNECTIONS, ids=str)
def test_bad_connections_are_refused(tried: Tried, base: str, bad: Bad) -> None:
    check_refusal(tried(bad.data(base)), bad, CONNECTION_MESSAGES.get((bad.rule, bad.field), "…"))


@pytest.mark.parametrize("change", EDGES)
def test_the_edge_of_each_rule_is_allowed(tried: Tried, change: dict[str, object]) -> None:
    answer = tried(changed_data(SMALLEST, change))

    assert answer.ok, answer.body


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.sampled_from(list(VALUES)), st.integers(0, 9), max_size=6))
def test_parser_and_server_agree_on_any_manifest(tried: Tried, picks: dict[str, int]) -> None:
    changes = {path: VALUES[path][at % len(VALUES[path])] for path, at in picks.items()}
    data = changed_data(SMALLEST, changes)
    try:
        parse_manifest(yaml.safe_dump(data))
        accepted = True
    except ManifestError:
        accepted = False

    answer = tried(data)

    assert answer.ok == accepted, answer.body


@pytest.mark.parametrize(("url", "insecure"), GOOD_URLS)
def test_good_addresses_are_taken(tried: Tried, url: str, insecure: bool) -> None:
    changes = {"spec__url": url, "spec__allowInsecure": insecure}

    answer = tried(changed_data(CONNECTION, changes))

    assert answer.ok, answer.body


def test_defaults_are_those_of_the_parser(cluster: Cluster, namespace: str) -> None:
    written = parse_manifest(SMALLEST)
    expected = written.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    expected["template"] = POOL["spec"]["template"]

    stored = cluster.client.get(made(cluster, namespace))
    resource = parse_resource(stored)

    assert stored["spec"] == expected
    assert resource.parsed == written
    assert not isinstance(resource.parsed, tuple)
    assert template_revision(resource.parsed) == template_revision(written)
    assert resource.meta.namespace == namespace
    assert resource.meta.generation == 1


def test_defaults_of_a_connection_are_those_of_the_parser(tried: Tried) -> None:
    answer = tried(yaml.safe_load(CONNECTION))
    answer.body["metadata"] |= {"resourceVersion": "0", "generation": 1}

    assert answer.body["spec"]["allowInsecure"] is False
    assert not isinstance(parse_connection(answer.body).parsed, tuple)


def test_null_is_as_left_out(tried: Tried) -> None:
    changes: dict[str, object] = {"spec__replicas": None, "spec__scaling__warmSessions": None}

    answer = tried(changed_data(SMALLEST, changes))

    assert answer.ok, answer.body
    assert "replicas" not in answer.body["spec"]


@pytest.mark.parametrize("size", [0, 3, 2**31 - 1, "0%", "25%", "100%"])
def test_sizes_are_numbers_or_percentages(tried: Tried, size: int | str) -> None:
    for path in ("rollout__maxSurge", "scaling__scaleUp__maxStarting"):
        answer = tried(changed_data(SMALLEST, {f"spec__{path}": size}))
        assert answer.ok, answer.body


def test_what_the_template_does_not_declare_is_kept(tried: Tried) -> None:
    template = {
        "metadata": {"labels": {"team": "a"}},
        "spec": {
            "containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}],
            "nodeSelector": {"pool": "calls"},
        },
    }

    answer = tried(changed_data(SMALLEST, {"spec__template": template}))

    assert answer.body["spec"]["template"] == template


def test_the_agent_id_stays(cluster: Cluster, namespace: str) -> None:
    path = made(cluster, namespace)

    def patched(agent_id: str | None) -> Answer:
        body = {"spec": {"agentId": agent_id}}
        return cluster.client.ask("PATCH", path, body, content_type="application/merge-patch+json")

    assert causes(patched("sales")) == [
        ("spec.agentId", "Invalid value: the agent's id cannot change")
    ]
    assert patched("support-en").ok
    assert patched(None).ok


def test_the_scale_of_a_pool_is_its_replicas(cluster: Cluster, namespace: str) -> None:
    path = made(cluster, namespace)
    cluster.client.merge(f"{path}/status", {"status": status_json(FULL)})

    cluster.kubectl_run("scale", "-n", namespace, "agd/support-en", "--replicas=3")
    scale = cluster.client.get(f"{path}/scale")
    cluster.client.merge(f"{path}/scale", {"spec": {"replicas": 4}})

    assert scale["spec"]["replicas"] == 3
    assert scale["status"] == {"replicas": FULL.replicas, "selector": FULL.selector}
    assert cluster.client.get(path)["spec"]["replicas"] == 4


def test_a_pool_that_scales_itself_has_no_scale_to_read(cluster: Cluster, namespace: str) -> None:
    """So no autoscaler can take it over unasked; `kubectl scale` writes without reading."""
    answer = cluster.client.ask("GET", f"{made(cluster, namespace)}/scale")

    assert "spec.replicas" in answer.message
    assert not answer.ok


def test_the_scale_obeys_the_rules(cluster: Cluster, namespace: str) -> None:
    path = made(cluster, namespace)

    answer = cluster.client.ask(
        "PATCH",
        f"{path}/scale",
        {"spec": {"replicas": 11}},
        content_type="application/merge-patch+json",
    )

    assert answer.status == 422
    assert MESSAGES["replicas-within-max", "spec.replicas"] in answer.message


def test_every_field_of_a_status_is_kept_and_touches_no_spec(
    cluster: Cluster, namespace: str
) -> None:
    path, status = made(cluster, namespace), status_json(FULL)
    before = cluster.client.get(path)
    body = {"apiVersion": POOL["apiVersion"], "kind": POOL["kind"], "status": status}
    query = "?fieldManager=paddock&force=true&fieldValidation=Strict"

    for _ in range(2):
        stored = cluster.client.must(
            "PATCH",
            f"{path}/status{query}",
            body | {"spec": {"paused": "Everything"}},
            content_type="application/apply-patch+yaml",
        )

    assert stored["status"] == status
    assert stored["spec"] == before["spec"]
    assert stored["metadata"]["generation"] == before["metadata"]["generation"]


def test_an_author_cannot_write_the_status(cluster: Cluster, namespace: str) -> None:
    path = made(cluster, namespace)

    cluster.client.merge(path, {"status": {"replicas": 5}})

    assert "status" not in cluster.client.get(path)


def test_a_connection_has_a_status(cluster: Cluster, namespace: str) -> None:
    connections = path_of(namespace, "orchestratorconnections")
    ready = status_json(ConnectionStatus(1, (condition(ConditionType.READY),)))
    cluster.client.create(connections, yaml.safe_load(CONNECTION))

    cluster.client.merge(f"{connections}/default/status", {"status": ready})

    shown = cluster.kubectl_run("get", "-n", namespace, "orchestratorconnections")
    header, line = shown.splitlines()
    assert header.split() == ["NAME", "URL", "READY", "REASON", "AGE"]
    assert line.split()[:4] == ["default", "https://paddock.example", "True", "Connected"]


def test_kubectl_shows_a_pool_in_a_line(cluster: Cluster, namespace: str) -> None:
    path = made(cluster, namespace)
    cluster.client.merge(f"{path}/status", {"status": status_json(FULL)})

    def shown(*arguments: str) -> dict[str, str]:
        header, line = cluster.kubectl_run("get", "-n", namespace, *arguments).splitlines()
        starts = [header.index(word) for word in header.split()]
        ends = [*starts[1:], None]
        return {header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)}

    plain, wide = shown("agd"), shown("paddock", "-o", "wide")

    del plain["AGE"]
    assert plain == {
        "NAME": "support-en",
        "DESIRED": "9",
        "READY": "5",
        "IDLE": "1",
        "DRAINING": "1",
        "CALLS": "14",
        "QUEUED": "2",
        "FREE": "6",
        "AVAILABLE": "True",
    }
    assert {name: wide[name] for name in wide if name not in plain and name != "AGE"} == {
        "MIN": "1",
        "MAX": "10",
        "REVISION": "5f9c0a1b",
        "REASON": "hold 5 runners: 14 in flight",
    }
    assert "support-en" in cluster.kubectl_run("get", "-n", namespace, "all")


def objects(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with fields, by the path that `kubectl explain` takes."""
    yield path, schema["properties"]
    for name, field in schema["properties"].items():
        below = field.get("items", field)
        if "properties" in below:
            yield from objects(below, f"{path}.{name}")


@pytest.mark.parametrize("kind", ["agentdeployments", "orchestratorconnections"])
def test_kubectl_explains_every_field(cluster: Cluster, kind: str) -> None:
    (version,) = yaml.safe_load((CHECKOUT / "crds" / f"{kind}.yaml").read_text())["spec"][
        "versions"
    ]
    tree = version["schema"]["openAPIV3Schema"]["properties"]

    for part in ("spec", "status"):
        for path, fields in objects(tree[part], f"{kind}.{part}"):
            said = " ".join(cluster.kubectl_run("explain", path).split())
            assert "no description" not in said, path
            missing = [name for name, f in fields.items() if f["description"] not in said]
            assert missing == [], path


def test_a_manifest_is_taken_by_kubectl_as_it_stands(cluster: Cluster, namespace: str) -> None:
    text = f"{changed(spec__drain__timeoutSeconds=60)}---\n{CONNECTION}"

    said = cluster.kubectl_run("apply", "-n", namespace, "-f", "-", stdin=text)

    assert said.splitlines() == [
        "agentdeployment.paddock.dev/support-en created",
        "orchestratorconnection.paddock.dev/default created",
    ]
