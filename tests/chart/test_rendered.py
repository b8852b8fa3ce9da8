"""What the chart makes, under a matrix of values."""

import re

import pytest
import yaml

from chart import deploy
from chart.rendering import (
    CASES,
    MONITORED,
    Json,
    Refused,
    is_hook,
    of_kind,
    pod_specs,
    render,
)
from chart.rules import broken
from e2e.pages import blocks
from fakes.shown import alerts
from paddock_operator.backends.kubernetes import permissions
from paddock_operator.backends.kubernetes.permissions import Permission
from paddock_operator.backends.kubernetes.words import POOL
from testbed.cluster import Cluster
from testbed.places import CHECKOUT

pytestmark = pytest.mark.api

FOREIGN = ("PodMonitor", "PrometheusRule")
"""Kinds that the test's cluster does not know."""


def test_helm_finds_nothing_to_complain_of(cluster: Cluster) -> None:
    done = cluster.helm_run(
        "lint", str(CHECKOUT / "charts/paddock"), "--strict", "--kube-version", "1.29.0",
        "--set", "image.repository=registry.example.com/paddock",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("case", CASES)
def test_every_rule_is_kept_under_all_values(cluster: Cluster, case: str) -> None:
    assert broken(render(cluster, CASES[case], apis=MONITORED)) == []


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_takes_everything(cluster: Cluster, namespace: str, case: str) -> None:
    """With what it would default and refuse, unknown fields included."""
    values = {**CASES[case], "pools": {}} if "pools" in CASES[case] else CASES[case]
    objects = [o for o in render(cluster, values, namespace=namespace) if o["kind"] not in FOREIGN]

    said = cluster.kubectl_run(
        "apply", "--server-side", "--dry-run=server", "--validate=strict",
        "--field-manager=paddock-test", "-f", "-", stdin=yaml.safe_dump_all(objects),
    )  # fmt: skip

    assert said.count("serverside-applied") == len(objects)


POOLS = (*permissions.NEEDED, *permissions.WANTED)
LEASE = (*permissions.LEASE, *permissions.LEARNED)


@pytest.mark.parametrize("cluster_wide", [True, False])
def test_the_operator_may_do_exactly_what_it_asks_for(cluster: Cluster, cluster_wide: bool) -> None:
    pools = {"namespaces": ["sales"]}
    objects = render(cluster, {"operator": {"clusterWide": cluster_wide}, "pools": pools})
    roles = {(o["kind"], o["metadata"].get("namespace")): o["rules"]
             for o in of_kind(objects, "Role", "ClusterRole")
             if o["metadata"]["name"] == "paddock-operator"}  # fmt: skip

    everywhere = granted(*POOLS, *permissions.NODES)
    if cluster_wide:
        assert {where: rights(rules) for where, rules in roles.items()} == {
            ("ClusterRole", None): everywhere,
            ("Role", "voice"): granted(*LEASE),
        }
    else:
        assert {where: rights(rules) for where, rules in roles.items()} == {
            ("Role", "sales"): granted(*POOLS, *LEASE)
        }


def granted(*needed: Permission) -> set[tuple[str, ...]]:
    """Group, resource, name and verb of each."""
    return {
        (each.group, "/".join(filter(None, (each.resource, each.subresource))), each.name, verb)
        for each in needed
        for verb in each.verbs
    }


def rights(rules: list[Json]) -> set[tuple[str, ...]]:
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def test_an_operator_of_some_namespaces_needs_nothing_of_the_cluster(cluster: Cluster) -> None:
    objects = render(cluster, CASES["of some namespaces"])

    assert of_kind(objects, "ClusterRole", "ClusterRoleBinding") == []
    watched = [pod["spec"]["containers"][0]["args"][1] for name, pod in pod_specs(objects)
               if name.startswith("Deployment")]  # fmt: skip
    assert watched == ["--namespace=sales", "--namespace=voice"]


def test_each_namespace_with_pools_has_a_connection_with_the_same_keys(cluster: Cluster) -> None:
    objects = render(cluster, {"pools": {"namespaces": ["sales", "support"]}})

    keys = {o["metadata"]["namespace"]: o["data"] for o in of_kind(objects, "Secret")}
    connections = of_kind(objects, "OrchestratorConnection")
    assert [o["metadata"]["namespace"] for o in connections] == ["sales", "support"]
    assert {o["spec"]["url"] for o in connections} == {"http://paddock-orchestrator.voice.svc:8600"}
    assert (
        keys["sales"]
        == keys["support"]
        == {name: keys["voice"][name] for name in ("apiKey", "runnerKey")}
    )
    assert keys["voice"].keys() == {"apiKey", "publicKey", "runnerKey"}


def test_given_keys_are_used_and_no_others_are_made(cluster: Cluster) -> None:
    objects = render(cluster, {"keys": {"existingSecret": "given"}})

    assert of_kind(objects, "Secret") == []
    connection = of_kind(objects, "OrchestratorConnection")[0]
    assert connection["spec"]["secretRef"] == {"name": "given"}
    assert "'secretName': 'given'" in str(dict(pod_specs(objects)))


def test_on_postgresql_there_is_no_volume_and_the_database_may_be_dialled(
    cluster: Cluster,
) -> None:
    objects = render(cluster, CASES["on PostgreSQL"])

    assert of_kind(objects, "PersistentVolumeClaim") == []
    spec = of_kind(objects, "StatefulSet")[0]["spec"]["template"]["spec"]
    assert spec["containers"][0]["env"] == [
        {
            "name": "PADDOCK_ORCHESTRATOR_DATABASE_URL",
            "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}},
        }
    ]
    policy = next(o for o in of_kind(objects, "NetworkPolicy") if "egress" in o["spec"])
    assert [{p["port"] for p in rule["ports"]} for rule in policy["spec"]["egress"]] == [
        {6432}, {53},
    ]  # fmt: skip


def test_a_narrow_policy_lets_the_job_through_that_asks_for_live_calls(cluster: Cluster) -> None:
    """It goes on without an answer, over the calls that it did not hear of."""
    objects = render(cluster, CASES["narrow policies"])

    job = next(o for o in of_kind(objects, "Job") if "may-uninstall" in o["metadata"]["name"])
    labels = job["spec"]["template"]["metadata"]["labels"]
    policy = next(o for o in of_kind(objects, "NetworkPolicy") if "egress" in o["spec"])
    (rule,) = policy["spec"]["ingress"]
    given = CASES["narrow policies"]["networkPolicy"]["orchestratorFrom"]
    assert rule["from"][:-1] == given
    assert rule["from"][-1].keys() == {"podSelector"}, "the job is in the policy's namespace"
    assert rule["from"][-1]["podSelector"]["matchLabels"].items() <= labels.items()


def test_an_open_policy_names_nobody(cluster: Cluster) -> None:
    policies = of_kind(render(cluster, {}), "NetworkPolicy")

    assert [rule for o in policies for rule in o["spec"]["ingress"] if "from" in rule] == []


def test_hooks_leave_nothing_behind_and_touch_nothing_that_stays(cluster: Cluster) -> None:
    hooks = [o for o in render(cluster, {}) if is_hook(o)]

    assert {o["kind"] for o in hooks} == {
        "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job",
    }  # fmt: skip
    for each in hooks:
        policy = each["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert policy == "before-hook-creation,hook-succeeded"


def test_without_the_prometheus_operator_nothing_of_it_is_made(cluster: Cluster) -> None:
    assert of_kind(render(cluster, {}), *FOREIGN) == []


def test_with_the_prometheus_operator_all_three_are_scraped_and_labelled(cluster: Cluster) -> None:
    objects = render(cluster, CASES["monitored"], apis=MONITORED)

    monitors = of_kind(objects, "PodMonitor")
    assert [o["metadata"]["name"] for o in monitors] == [
        "paddock-operator", "paddock-orchestrator", "paddock-runners",
    ]  # fmt: skip
    assert {o["metadata"]["labels"]["release"] for o in monitors} == {"prometheus"}


@pytest.mark.parametrize(
    ("case", "where"),
    [
        ("smallest", {"any": True}),
        ("no orchestrator", {"any": True}),
        ("pools elsewhere", {"any": True}),
        ("of some namespaces", {"matchNames": ["sales", "voice"]}),
        ("of its own namespace", {"matchNames": ["voice"]}),
    ],
)
def test_runners_are_scraped_where_the_operator_makes_them(
    cluster: Cluster, case: str, where: Json
) -> None:
    monitors = of_kind(render(cluster, CASES[case], apis=MONITORED), "PodMonitor")

    runners = next(o["spec"] for o in monitors if o["metadata"]["name"] == "paddock-runners")
    assert runners["namespaceSelector"] == where
    assert runners["selector"] == {"matchExpressions": [{"key": POOL, "operator": "Exists"}]}
    # They run code of users, who must not be able to speak for other pools.
    assert [each["honorLabels"] for each in runners["podMetricsEndpoints"]] == [False]
    label = "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", POOL)
    assert runners["podMetricsEndpoints"][0]["relabelings"] == [
        {"sourceLabels": [label], "targetLabel": "pool"}
    ]


def test_alerts_and_dashboards_are_made_of_the_files_that_are_there(cluster: Cluster) -> None:
    chart = CHECKOUT / "charts" / "paddock"
    objects = render(cluster, {}, apis=MONITORED)

    rules = of_kind(objects, "PrometheusRule")
    assert len(rules) == len(list(chart.glob("alerts/*.yaml")))
    assert all(rule["spec"]["groups"] for rule in rules)
    boards = {key: text for o in of_kind(objects, "ConfigMap") for key, text in o["data"].items()}
    assert boards == {path.name: path.read_text() for path in chart.glob("dashboards/*.json")}


def test_helm_prints_the_commands_of_the_page_of_the_installation(cluster: Cluster) -> None:
    """Those that a test types: the pool, the wait, the call."""
    done = cluster.helm_run(
        "install", "paddock", str(CHECKOUT / "charts/paddock"), "--namespace", "voice",
        "--dry-run=client", "--set", "image.repository=REGISTRY/paddock",
    )  # fmt: skip
    _, _, declared, called = [b for b in blocks(CHECKOUT / "docs/install.md") if not b.section]

    notes = done.stdout.partition("NOTES:")[2].splitlines()
    wanted = [*declared.lines, called.lines[0]]
    assert [line for line in wanted if line not in notes] == []


def test_what_is_kept_for_kubectl_is_what_the_chart_makes(cluster: Cluster) -> None:
    files = {path.name: path.read_text() for path in deploy.KEPT.parent.iterdir()}
    assert files == deploy.rendered(), "`make deploy` writes them anew"


def test_deleting_what_kubectl_applied_leaves_the_records(cluster: Cluster) -> None:
    """`kubectl delete -f` knows no policy that would keep a claim."""
    kept = [each for each in yaml.safe_load_all(deploy.KEPT.read_text()) if each]
    (claim,) = yaml.safe_load_all(deploy.RECORDS.read_text())

    assert of_kind(kept, "PersistentVolumeClaim") == []
    (made,) = of_kind(render(cluster, {}, namespace=deploy.NAMESPACE), "PersistentVolumeClaim")
    assert claim["spec"] == made["spec"]
    assert claim["metadata"]["name"] == made["metadata"]["name"]
    assert "helm" not in str(claim).lower()


def runbooks(objects: list[Json]) -> dict[str, str]:
    """Of each alert."""
    return {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for one in of_kind(objects, "PrometheusRule")
        for group in one["spec"]["groups"]
        for rule in group["rules"]
    }


@pytest.mark.parametrize("given", ["https://wiki.example.com/paddock", "http://runbooks:8080/"])
def test_alerts_lead_to_the_runbooks_where_people_read_them(cluster: Cluster, given: str) -> None:
    monitoring = {"monitoring": {"runbookUrl": given}}

    found = runbooks(render(cluster, monitoring, apis=MONITORED))

    assert found == {name: f"{given.rstrip('/')}/{name}.md" for name in alerts()}


def test_without_an_address_of_the_runbooks_alerts_name_their_file(cluster: Cluster) -> None:
    found = runbooks(render(cluster, {}, apis=MONITORED))

    assert found.keys() == alerts().keys()
    assert [path for path in found.values() if not (CHECKOUT / path).is_file()] == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": {"repository": ""}}, "image.repository is empty"),
        ({"image": {"repository": "a b"}}, "/image/repository"),
        ({"imagee": {}}, "additional properties 'imagee'"),
        ({"operator": {"replica": 2}}, "additional properties 'replica'"),
        ({"operator": {"replicas": "2"}}, "got string, want integer"),
        ({"operator": {"replicas": 0}}, "/operator/replicas"),
        ({"operator": {"logLevel": "loud"}}, "'debug', 'info', 'warning', 'error'"),
        ({"orchestrator": {"retentionDays": 0}}, "/orchestrator/retentionDays"),
        ({"orchestrator": {"storage": {"size": "big"}}}, "/orchestrator/storage/size"),
        ({"orchestrator": {"publicUrl": "voice.example.com"}}, "/orchestrator/publicUrl"),
        ({"orchestrator": {"resources": {"limit": {}}}}, "additional properties 'limit'"),
        ({"pools": {"namespaces": "sales"}}, "got string, want array"),
        ({"pools": {"namespaces": ["Sales"]}}, "/pools/namespaces/0"),
        ({"keys": {"existingSecret": "My Keys"}}, "/keys/existingSecret"),
        ({"ingress": {"enabled": True}}, "ingress.host is empty"),
        (
            {"ingress": {"enabled": True, "host": "a.b"}, "orchestrator": {"enabled": False}},
            "orchestrator.enabled is false",
        ),
        ({"monitoring": {"rules": True}}, "install the Prometheus operator, or leave it at auto"),
        ({"monitoring": {"podMonitors": True}}, "monitoring.podMonitors is true"),
        ({"monitoring": {"rules": "yes"}}, "/monitoring/rules"),
        ({"monitoring": {"runbookUrl": "docs/runbooks"}}, "/monitoring/runbookUrl"),
        ({"monitoring": {"runbookUrl": "https://a b"}}, "/monitoring/runbookUrl"),
        ({"networkPolicy": {"orchestratorFrom": {}}}, "got object, want array"),
    ],
)
def test_bad_values_are_refused_with_their_place(cluster: Cluster, values: Json, said: str) -> None:
    with pytest.raises(Refused) as refused:
        render(cluster, values)

    assert said in str(refused.value)
