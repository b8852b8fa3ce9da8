"""What holds of every policy, whatever the samples."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from paddock_operator.autoscale.policy import policy_for
from paddock_operator.autoscale.sample import Decision, PoolSample
from paddock_operator.model.manifest import AgentDeployment
from unit.autoscale.pools import pool

counts = st.integers(0, 40) | st.integers(0, 100_000)


@st.composite
def samples(draw: st.DrawFn, *, fresh: bool | None = None) -> PoolSample:
    starting = draw(st.integers(0, 50))
    return PoolSample(
        in_flight=draw(counts),
        queued=draw(counts),
        arrivals=draw(counts),
        completions=draw(counts),
        answered=draw(counts),
        late=draw(counts),
        startup_times_s=tuple(draw(st.lists(st.floats(0, 5000), max_size=3))),
        ready=draw(st.integers(0, 200)),
        starting=starting,
        overdue_starts=draw(st.integers(0, starting)),
        draining_sessions=draw(counts),
        fresh=draw(st.booleans()) if fresh is None else fresh,
    )


@st.composite
def manifests(draw: st.DrawFn) -> AgentDeployment:
    largest = draw(st.integers(1, 100))
    capacity = draw(st.integers(1, 20))
    return pool(
        sessions_per_runner=capacity,
        policy=draw(st.sampled_from(["Horizon", "Buffer"])),
        minRunners=draw(st.integers(0, largest)),
        maxRunners=largest,
        warmSessions=draw(
            st.none() | st.integers(0, largest * capacity) | st.sampled_from(["0%", "25%", "99%"])
        ),
        objectivePercent=draw(st.floats(50, 99.99)),
    )


histories = st.lists(st.tuples(st.floats(0, 30) | st.floats(0, 1e6), samples()), max_size=25)


def play(
    manifest: AgentDeployment,
    history: list[tuple[float, PoolSample]],
    learned: dict[str, object] | None = None,
) -> tuple[list[Decision], dict[str, object]]:
    policy, now = policy_for(manifest, learned), 1000.0
    decisions = []
    for dt, each in history:
        now += dt
        decisions.append(policy.decide(each, now))
    return decisions, policy.export()


@settings(deadline=None)
@given(manifests(), histories)
def test_the_target_is_always_within_the_limits(
    manifest: AgentDeployment, history: list[tuple[float, PoolSample]]
) -> None:
    scaling = manifest.spec.scaling

    for decision in play(manifest, history)[0]:
        assert scaling.min_runners <= decision.target <= scaling.max_runners
        assert decision.wanted >= 0
        assert "\n" not in decision.reason


@settings(deadline=None)
@given(manifests(), histories, samples(fresh=False))
def test_without_fresh_statistics_a_pool_never_shrinks(
    manifest: AgentDeployment, history: list[tuple[float, PoolSample]], stale: PoolSample
) -> None:
    decisions, _ = play(manifest, [*history, (1.0, stale)])

    present = stale.ready + stale.starting
    assert decisions[-1].target >= min(manifest.spec.scaling.max_runners, present)


@settings(deadline=None)
@given(manifests(), samples(fresh=True), st.integers(0, 500))
def test_more_sessions_never_want_fewer_runners(
    manifest: AgentDeployment, each: PoolSample, more: int
) -> None:
    busier = dataclasses.replace(each, in_flight=each.in_flight + more)

    (few,), _ = play(manifest, [(0.0, each)])
    (many,), _ = play(manifest, [(0.0, busier)])

    assert few.wanted <= many.wanted
    assert few.target <= many.target


@settings(deadline=None)
@given(manifests(), samples(fresh=True))
def test_there_is_always_room_for_the_sessions_there_are(
    manifest: AgentDeployment, each: PoolSample
) -> None:
    (decision,), _ = play(manifest, [(0.0, each)])

    room = decision.target * manifest.spec.sessions_per_runner
    full = decision.target == manifest.spec.scaling.max_runners
    assert full or room >= each.in_flight + each.queued


@settings(deadline=None)
@given(manifests(), histories, histories)
def test_restored_state_decides_the_same(
    manifest: AgentDeployment,
    past: list[tuple[float, PoolSample]],
    future: list[tuple[float, PoolSample]],
) -> None:
    _, learned = play(manifest, past)
    restored = policy_for(manifest, learned).export()

    assert restored == learned
    assert play(manifest, future, learned) == play(manifest, future, restored)


@settings(deadline=None)
@given(manifests(), samples(fresh=True))
def test_asking_again_at_the_same_instant_changes_nothing(
    manifest: AgentDeployment, each: PoolSample
) -> None:
    quiet = dataclasses.replace(
        each, arrivals=0, completions=0, answered=0, late=0, startup_times_s=()
    )

    first, second = play(manifest, [(0.0, quiet), (0.0, quiet)])[0]

    assert second.target == first.target
