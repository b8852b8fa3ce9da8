"""An operator's service account with what the documentation grants, and not an administrator's."""

from pathlib import Path
from typing import Any

import yaml

from paddock_operator.backends.kubernetes.client import KubeClient
from testbed import kubeconfig
from testbed.cluster import Cluster

_NAME = "operator"
_DOCUMENTED = Path(__file__).parents[2] / "deploy" / "paddock.yaml"


def _granted() -> list[dict[str, Any]]:
    """The rules of the operator's roles there, for one namespace."""
    documents = yaml.safe_load_all(_DOCUMENTED.read_text())
    roles = [each for each in documents if each and each["metadata"]["name"] == "paddock-operator"]
    rules = [rule for role in roles for rule in role.get("rules", ())]
    secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    return [*(rule for rule in rules if rule["resources"] != ["nodes"]), secrets]


GRANTED = _granted()


async def grant(client: KubeClient, namespace: str, rules: list[dict[str, Any]]) -> None:
    """Let the account do this, and nothing else."""
    api = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    about = {"name": _NAME, "namespace": namespace}
    version = "rbac.authorization.k8s.io/v1"
    role = {"apiVersion": version, "kind": "Role", "metadata": about, "rules": rules}
    await client.apply(f"{api}/roles/{_NAME}", role, manager="somebody")


async def restricted_kubeconfig(
    client: KubeClient, namespace: str, cluster: Cluster, folder: Path
) -> Path:
    """The way of an operator that looks after one namespace."""
    about = {"name": _NAME, "namespace": namespace}
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}
    await client.apply(f"{accounts}/{_NAME}", account, manager="somebody")
    await grant(client, namespace, GRANTED)
    version = "rbac.authorization.k8s.io/v1"
    binding = {
        "apiVersion": version, "kind": "RoleBinding", "metadata": about,
        "roleRef": {"apiGroup": version.partition("/")[0], "kind": "Role", "name": _NAME},
        "subjects": [{"kind": "ServiceAccount", **about}],
    }  # fmt: skip
    path = f"/apis/{version}/namespaces/{namespace}/rolebindings/{_NAME}"
    await client.apply(path, binding, manager="somebody")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = (await client.create(f"{accounts}/{_NAME}/token", request)).object
    written = folder / "restricted.kubeconfig"
    kubeconfig.write_like(cluster.kubeconfig, written, token=answer["status"]["token"])
    return written
