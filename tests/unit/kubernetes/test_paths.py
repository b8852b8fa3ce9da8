"""What a path is about."""

import pytest

from paddock_operator.backends.kubernetes.paths import resource_of, verb_of


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/pods", "pods"),
        ("/api/v1/namespaces/x/pods", "pods"),
        ("/api/v1/namespaces/x/pods/p", "pods"),
        ("/api/v1/namespaces/x/pods/p/status", "pods/status"),
        ("/api/v1/namespaces", "namespaces"),
        ("/api/v1/namespaces/x", "namespaces"),
        ("/api/v1/namespaces/x/status", "namespaces/status"),
        ("/apis/paddock.dev/v1/namespaces/x/agentdeployments/a/status", "agentdeployments/status"),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a", "customresourcedefinitions"),
        ("/version", "/version"),
        ("/apis", "/apis"),
    ],
)
def test_a_path_names_one_resource(path: str, resource: str) -> None:
    assert resource_of(path) == resource


def test_methods_have_the_verbs_of_kubernetes() -> None:
    verbs = [verb_of(method) for method in ("GET", "POST", "PATCH", "DELETE", "OPTIONS")]

    assert verbs == ["get", "create", "patch", "delete", "options"]
