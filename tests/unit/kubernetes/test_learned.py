"""What policies learned, kept in one object for all pools."""

import asyncio
from collections.abc import Mapping

import pytest

from fakes.kube_memory import KubeMemory
from paddock_operator.autoscale.policy import policy_for
from paddock_operator.autoscale.sample import PoolSample
from paddock_operator.backends.kubernetes import words
from paddock_operator.backends.kubernetes.learned import LearnedStates
from paddock_operator.model.parse import parse_manifest
from paddock_operator.observe.metrics import PoolKey
from unit.model.manifests import changed

KEY = PoolKey("voice", "desk")


def busy_export() -> Mapping[str, object]:
    """Of a pool that has seen everything a policy remembers."""
    policy = policy_for(parse_manifest(changed()), None)
    for second in range(3000):
        sample = PoolSample(
            in_flight=3, queued=0, arrivals=3, completions=2, answered=3, late=1,
            startup_times_s=(10.0 + second / 7.0 % 20.0,), ready=1, starting=0, overdue_starts=0,
            draining_sessions=0, fresh=True,
        )  # fmt: skip
        policy.decide(sample, float(second))
    return policy.export()


async def saved(kube: KubeMemory, state: Mapping[str, object]) -> LearnedStates:
    """As another process reads it."""
    saving = asyncio.create_task(LearnedStates(kube.client, "n").run(lambda: {KEY: state}))
    await asyncio.sleep(0)
    saving.cancel()
    await asyncio.wait([saving])
    read = LearnedStates(kube.client, "n")
    await read.load()
    return read


async def test_what_is_saved_is_what_a_policy_takes_up_again_but_for_the_last_digits() -> None:
    export = busy_export()
    found = (await saved(KubeMemory(), export)).of(KEY)
    assert found is not None
    restored = policy_for(parse_manifest(changed()), found).export()
    assert restored.keys() == export.keys()
    for name, value in export.items():
        assert restored[name] == pytest.approx(value, rel=1e-3), name


async def test_two_thousand_busy_pools_fit_into_the_one_object() -> None:
    kube = KubeMemory()
    await saved(kube, busy_export())
    path = f"/api/v1/namespaces/n/configmaps/{words.LEARNED}"
    (text,) = (await kube.client.get(path))["data"].values()
    assert len(text) * 2000 < 1 << 20


async def test_nonsense_in_the_object_is_done_without() -> None:
    kube = KubeMemory()
    kube.put("/api/v1/namespaces/n/configmaps", words.LEARNED, data={"voice.desk": "{"})
    read = LearnedStates(kube.client, "n")
    await read.load()
    assert read.of(KEY) is None
