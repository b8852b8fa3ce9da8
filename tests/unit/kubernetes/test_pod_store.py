"""What is known of pods: the newest of what the watch brought and what writes answered."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakes.kube_memory import KubeMemory
from paddock_operator.backends.kubernetes.pod_store import PodStore
from paddock_operator.backends.kubernetes.watching import WatchEvent
from paddock_operator.backends.kubernetes.words import POOL
from paddock_operator.observe.metrics import PoolKey


def _pod(name: str = "a", version: int = 1, uid: str = "u1", pool: str = "desk") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {POOL: pool},
        },
        "spec": {}, "status": {"phase": "Pending"},
    }  # fmt: skip


class Store:
    """A store whose watch is played by hand."""

    def __init__(self) -> None:
        self.news: list[PoolKey] = []
        self.store = PodStore(KubeMemory().client, "/pods", self.news.append)

    def watched(self, kind: str, pod: dict[str, Any]) -> None:
        informer = self.store.informer
        informer._tell(informer._mirror.event(WatchEvent(kind, pod)))

    def versions(self) -> list[tuple[str, int]]:
        found = self.store.of("n", "desk")
        return [(pod.name, int(pod.resource_version)) for pod in found]


def test_an_answer_is_seen_before_the_watch_brings_it() -> None:
    store = Store()
    store.store.learn(_pod(version=5))
    assert store.versions() == [("a", 5)]


def test_an_answer_never_hides_what_the_watch_brought_later() -> None:
    store = Store()
    store.store.learn(_pod(version=5))
    store.watched("ADDED", _pod(version=7))
    assert store.versions() == [("a", 7)]


def test_a_pod_that_went_after_the_answer_is_gone() -> None:
    store = Store()
    store.watched("ADDED", _pod(version=4))
    store.store.learn(_pod(version=5))
    store.watched("DELETED", _pod(version=6))
    assert store.versions() == []


def test_a_pod_the_server_does_not_have_is_gone_though_the_watch_lags() -> None:
    store = Store()
    store.watched("ADDED", _pod(version=4))
    store.store.lost("n", "a", "u1")
    assert store.versions() == []


def test_another_pod_of_a_lost_ones_name_is_there() -> None:
    store = Store()
    store.watched("ADDED", _pod(version=4))
    store.store.lost("n", "a", "u1")
    store.store.learn(_pod(version=8, uid="u2"))
    assert store.versions() == [("a", 8)]
    store.watched("DELETED", _pod(version=7))
    store.watched("ADDED", _pod(version=8, uid="u2"))
    assert store.versions() == [("a", 8)]


def test_the_watch_tells_of_a_pool_when_something_of_it_is_new() -> None:
    store = Store()
    store.watched("ADDED", _pod(version=2, pool="desk"))
    store.watched("ADDED", _pod("b", version=3, pool="other"))
    store.watched("MODIFIED", _pod(version=3, pool="desk"))
    assert store.news == [PoolKey("n", "desk"), PoolKey("n", "other")]


def test_pods_without_a_pool_are_none_of_ours() -> None:
    store = Store()
    stranger = _pod(version=2)
    del stranger["metadata"]["labels"]
    store.watched("ADDED", stranger)
    assert store.news == []
    assert len(store.store.informer.store) == 0


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.booleans()), max_size=30),
    st.lists(st.booleans(), max_size=30),
)
def test_what_is_known_is_never_older_than_what_was_answered_or_watched(
    writes: list[tuple[bool, str, bool]], heard: list[bool]
) -> None:
    """Writes come one after another, ours are answered at once, and the watch tells all later."""
    store, version = Store(), 1
    late: list[tuple[str, dict[str, Any]]] = []
    truth: dict[str, int] = {}
    least: dict[str, int] = {}
    for ours, name, removes in writes:
        version += 1
        if removes and name in truth:
            del truth[name]
            late.append(("DELETED", _pod(name, version)))
        else:
            late.append(("MODIFIED" if name in truth else "ADDED", _pod(name, version)))
            truth[name] = version
            if ours:
                store.store.learn(_pod(name, version))
                least[name] = version
        while late and heard and heard.pop():
            kind, pod = late.pop(0)
            store.watched(kind, pod)
        known = dict(store.versions())
        for name_, seen in known.items():
            assert seen >= least.get(name_, 0) or name_ not in truth
    for kind, pod in late:
        store.watched(kind, pod)
    assert dict(store.versions()) == truth
