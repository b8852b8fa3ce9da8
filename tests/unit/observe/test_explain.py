"""What is kept to explain a pool's size."""

import json

from fakes.pools import NOW, runner
from paddock_operator.observe.explain import KEPT, Explanations
from unit.observe.scenes import scene


def test_a_decision_is_told_with_what_it_rests_on() -> None:
    kept = Explanations()
    kept.keep("p", scene(runner("a", 3), target=3, queued=2))
    (entry,) = kept.explanation("p")
    assert entry["sample"]["queued"] == 2
    assert entry["decision"]["target"] == 3
    assert entry["sentence"].startswith("Create 2 toward 3 runners")
    assert entry["actions"] == [{"action": "Create", "count": 2, "runners": []}]
    assert json.loads(json.dumps(entry)) == entry


def test_drains_are_told_with_reason_and_names() -> None:
    kept = Explanations()
    kept.keep("p", scene(runner("a", 1), runner("b", 0), target=1))
    assert kept.explanation("p")[0]["actions"] == [
        {"action": "Drain (ScaleDown)", "count": 1, "runners": ["b"]}
    ]


def test_a_pool_at_rest_keeps_the_story_of_how_it_came_there() -> None:
    kept = Explanations()
    kept.keep("p", scene(runner("a"), target=2, at=NOW))
    for second in range(100):
        kept.keep("p", scene(runner("a", second % 3), target=1, at=NOW + 1.0 + second))
    first, rest = kept.explanation("p")
    assert first["decision"]["target"] == 2
    assert (rest["at"], rest["until"], rest["passes"]) == (NOW + 1.0, NOW + 100.0, 100)


def test_only_the_last_decisions_are_kept() -> None:
    kept = Explanations()
    for target in range(50):
        kept.keep("p", scene(target=target))
    assert len(kept.explanation("p")) == KEPT
    assert kept.explanation("p")[-1]["decision"]["target"] == 49
    kept.forget("p")
    assert kept.explanation("p") == []
