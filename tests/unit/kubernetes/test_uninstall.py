"""What is said to whoever would uninstall while pools are declared."""

from paddock.client.records import Agent
from paddock_operator.install_cli import busy, refusal


def pool(namespace: str, name: str, **status: object) -> dict[str, object]:
    return {"metadata": {"namespace": namespace, "name": name}, "status": status}


def test_it_names_each_pool_with_its_live_calls_and_what_to_do() -> None:
    busy = pool("voice", "desk", replicas=2, sessions={"inFlight": 3, "queued": 1})
    lines = list(refusal([busy, pool("voice", "bar"), pool("sales", "desk", replicas=1)]))

    assert "3 pool(s) are declared, with 4 live call(s)" in lines[0]
    assert "  voice/desk: 4 live call(s) on 2 runner(s)" in lines
    assert "  kubectl -n sales delete agentdeployments desk" in lines
    assert "  kubectl -n voice delete agentdeployments bar desk" in lines
    assert "--no-hooks" in lines[-2]
    assert "helm rollback" in lines[-1]


def test_a_pool_that_was_never_looked_at_counts() -> None:
    fresh = {"metadata": {"namespace": "voice", "name": "desk", "deletionTimestamp": "now"}}

    assert "  voice/desk: 0 live call(s) on 0 runner(s), already leaving" in list(refusal([fresh]))


def test_calls_on_runners_of_no_pool_are_named() -> None:
    agents = [Agent("idle", runners=1), Agent("desk", in_flight=2, queued=1, runners=2)]
    lines = list(busy(agents))

    assert "3 call(s) are live" in lines[0]
    assert lines[1] == "  desk: 3 live call(s) on 2 runner(s)"
    assert len(lines) == 4


def test_runners_without_calls_are_not_in_the_way() -> None:
    assert list(busy([Agent("idle", runners=1)])) == []
