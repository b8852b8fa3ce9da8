"""What our client does with answers a real API server gives rarely."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fakes.kube_api import FakeKubeApi, status
from fakes.proxy import Proxy
from paddock_operator.backends.kubernetes.client import KubeClient
from paddock_operator.backends.kubernetes.errors import (
    CONNECTION_LOST,
    NOT_CONNECTED,
    TIMED_OUT,
    AlreadyExists,
    Gone,
    NoAccess,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
)
from paddock_operator.backends.kubernetes.retry import Backoff, Retries
from paddock_operator.backends.kubernetes.transport import IN_FLIGHT

_PODS = "/api/v1/namespaces/x/pods"
_QUICK = Retries(Backoff(first_s=0.01, most_s=0.02), give_up_after_s=10.0)


@pytest.fixture
async def api() -> AsyncIterator[FakeKubeApi]:
    async with FakeKubeApi() as made:
        yield made


@pytest.fixture
async def kube(api: FakeKubeApi, tmp_path: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient.connect(api.kubeconfig(tmp_path), retries=_QUICK) as client:
        yield client


def _ok(**body: Any) -> Callable[[], web.Response]:
    return lambda: web.json_response(body)


def _busy() -> web.Response:
    return status(503, "ServiceUnavailable")


def _shedding() -> web.Response:
    return status(429, "TooManyRequests", Retry_After="0")


async def test_reads_are_repeated_and_every_attempt_is_observed(
    api: FakeKubeApi, tmp_path: Path
) -> None:
    seen: list[tuple[str, str, int]] = []
    api.tell(_busy, _busy, _ok(kind="Pod"))
    async with KubeClient.connect(
        api.kubeconfig(tmp_path), retries=_QUICK,
        observe=lambda verb, resource, code, seconds: seen.append((verb, resource, code)),
    ) as client:  # fmt: skip
        assert await client.get(f"{_PODS}/p") == {"kind": "Pod"}

    assert seen == [("get", "pods", 503), ("get", "pods", 503), ("get", "pods", 200)]
    assert api.asked[0].headers["Authorization"] == "Bearer good"
    assert api.asked[0].headers["User-Agent"].startswith("paddock-operator/")


async def test_a_patch_is_repeated_if_it_is_a_compare_and_set(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    api.tell(_busy, _ok(kind="Pod"))

    await kube.merge_patch(f"{_PODS}/p", {"metadata": {"resourceVersion": "7"}})

    assert len(api.asked) == 2
    assert api.asked[1].headers["Content-Type"] == "application/merge-patch+json"


async def test_a_patch_of_any_version_is_sent_once(api: FakeKubeApi, kube: KubeClient) -> None:
    api.tell(_busy, _ok(kind="Pod"))

    with pytest.raises(ServerUnavailable):
        await kube.merge_patch(f"{_PODS}/p", {"metadata": {}})

    assert len(api.asked) == 1


async def test_what_was_shed_is_sent_again_whatever_it_is(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    api.tell(_shedding, _ok(kind="Pod"))

    assert await kube.merge_patch(f"{_PODS}/p", {}, subresource="status") == {"kind": "Pod"}
    assert api.asked[1].path == f"{_PODS}/p/status"


async def test_a_create_whose_answer_was_lost_finds_its_object(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    api.tell(_busy, lambda: status(409, "AlreadyExists"), _ok(kind="Pod"))

    created = await kube.create(_PODS, {"metadata": {"name": "p"}})

    assert created.found
    assert created.object == {"kind": "Pod"}
    assert [(each.method, each.path) for each in api.asked] == [
        ("POST", _PODS), ("POST", _PODS), ("GET", f"{_PODS}/p"),
    ]  # fmt: skip


async def test_a_name_that_is_taken_from_the_start_is_an_error(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    api.tell(lambda: status(409, "AlreadyExists"))

    with pytest.raises(AlreadyExists):
        await kube.create(_PODS, {"metadata": {"name": "p"}})


async def test_a_create_without_a_name_is_sent_once(api: FakeKubeApi, kube: KubeClient) -> None:
    api.tell(_busy)

    with pytest.raises(ServerUnavailable):
        await kube.create(_PODS, {"metadata": {"generateName": "p-"}})

    assert len(api.asked) == 1


async def test_a_delete_whose_answer_was_lost_has_succeeded(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    api.tell(_busy, lambda: status(404, "NotFound"))

    assert await kube.delete(f"{_PODS}/p", uid="u", resource_version="7", grace_s=3) == {}
    assert api.asked[0].body == {
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 3,
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }  # fmt: skip


async def test_a_delete_by_name_alone_is_sent_once(api: FakeKubeApi, kube: KubeClient) -> None:
    api.tell(_busy)

    with pytest.raises(ServerUnavailable):
        await kube.delete(f"{_PODS}/p")

    assert len(api.asked) == 1


async def test_the_server_s_wait_is_respected_or_the_request_given_up(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    api.tell(lambda: status(429, "TooManyRequests", Retry_After="60"))

    with pytest.raises(TooManyRequests) as refused:
        await kube.get(f"{_PODS}/p")

    assert refused.value.retry_after_s == 60
    assert len(api.asked) == 1


async def test_a_refused_credential_is_read_again_once(
    api: FakeKubeApi, kube: KubeClient, tmp_path: Path
) -> None:
    async def only_new(request: web.Request) -> web.Response:
        api.kubeconfig(tmp_path, "new")
        known = request.headers["Authorization"] == "Bearer new"
        return web.json_response({"kind": "Pod"}) if known else status(401, "Unauthorized")

    api.handler = only_new

    assert await kube.get(f"{_PODS}/p") == {"kind": "Pod"}
    assert len(api.asked) == 2


async def test_a_credential_that_stays_refused_is_an_error(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    api.tell(lambda: status(401, "Unauthorized"))

    with pytest.raises(Unauthorized):
        await kube.get(f"{_PODS}/p")

    assert len(api.asked) == 2


async def test_many_refused_at_once_read_the_credential_and_all_go_on(
    api: FakeKubeApi, kube: KubeClient, tmp_path: Path
) -> None:
    async def only_new(request: web.Request) -> web.Response:
        known = request.headers["Authorization"] == "Bearer new"
        await asyncio.sleep(0)
        return web.json_response({"kind": "Pod"}) if known else status(401, "Unauthorized")

    api.handler = only_new
    with pytest.raises(Unauthorized):
        await kube.get(f"{_PODS}/p")
    api.kubeconfig(tmp_path, "new")

    answers = await asyncio.gather(*(kube.get(f"{_PODS}/{n}") for n in range(40)))

    assert len(answers) == 40


async def test_no_more_than_so_many_requests_are_under_way(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    now, most, full = 0, 0, asyncio.Event()

    async def hold(_: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == IN_FLIGHT:
            full.set()
        await full.wait()
        now -= 1
        return web.json_response({})

    api.handler = hold
    await asyncio.gather(*(kube.get(f"{_PODS}/{n}") for n in range(64)))

    assert most == IN_FLIGHT


async def test_no_answer_at_all_is_told_apart(api: FakeKubeApi, tmp_path: Path) -> None:
    api.tell(_ok(kind="Pod"))
    once = Retries(give_up_after_s=0.0)
    async with Proxy(api.port) as proxy:
        file = api.kubeconfig(tmp_path, port=proxy.port)
        async with KubeClient.connect(file, retries=once, timeout_s=3.0) as client:
            await client.get(f"{_PODS}/p")
            proxy.hold()
            with pytest.raises(ServerUnavailable) as silent:
                await client.get(f"{_PODS}/p")
            proxy.release()
            proxy.open = False
            proxy.cut()
            with pytest.raises(ServerUnavailable) as cut:
                await client.get(f"{_PODS}/p")
        gone = proxy.port
    async with KubeClient.connect(api.kubeconfig(tmp_path, port=gone), retries=once) as client:
        with pytest.raises(ServerUnavailable) as nobody:
            await client.get(f"{_PODS}/p")

    assert silent.value.reason == TIMED_OUT
    assert cut.value.reason == CONNECTION_LOST
    assert nobody.value.reason == NOT_CONNECTED
    assert {error.value.status for error in (silent, cut, nobody)} == {0}


async def test_an_answer_that_is_no_json_is_no_answer(api: FakeKubeApi, kube: KubeClient) -> None:
    api.tell(lambda: web.Response(text="<h1>Welcome</h1>"))

    with pytest.raises(ServerUnavailable, match="Welcome"):
        await kube.get(f"{_PODS}/p")


def _page(*names: str, more: str = "") -> Callable[[], web.Response]:
    items = [{"metadata": {"name": name}} for name in names]
    return _ok(metadata={"resourceVersion": "5", "continue": more}, items=items)


async def test_a_listing_that_grew_too_old_between_pages_is_begun_again(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    expired = lambda: status(410, "Expired")  # noqa: E731
    api.tell(_page("a", more="t"), expired, _page("b", more="u"), _page("c"))

    listing = await kube.list(_PODS, labels="x=y", limit=1)

    assert [item["metadata"]["name"] for item in listing.items] == ["b", "c"]
    assert [each.query.get("continue") for each in api.asked] == [None, "t", None, "u"]
    assert {each.query["labelSelector"] for each in api.asked} == {"x=y"}


async def test_a_listing_is_not_begun_again_for_ever(api: FakeKubeApi, kube: KubeClient) -> None:
    api.tell(lambda: status(410, "Expired"))

    with pytest.raises(Gone):
        await kube.list(_PODS)


async def test_a_watch_reads_lines_of_any_size_and_raises_what_the_server_says(
    api: FakeKubeApi, kube: KubeClient
) -> None:
    large = {"metadata": {"name": "p", "resourceVersion": "8"}, "fill": "x" * 6_000_000}
    gone = {"code": 410, "reason": "Expired", "message": "too old"}

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for event in ({"type": "ADDED", "object": large}, {"type": "ERROR", "object": gone}):
            await answer.write(json.dumps(event).encode() + b"\n")
        return answer

    api.handler = stream
    events = []
    with pytest.raises(Gone):  # noqa: PT012
        async for event in kube.watch(_PODS, resource_version="7", timeout_s=9):
            events.append(event)  # noqa: PERF401 - what came before the error counts

    assert [event.object for event in events] == [large]
    assert api.asked[0].query == {
        "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": "7", "timeoutSeconds": "9",
    }  # fmt: skip


async def test_a_file_that_is_not_there_is_no_access(tmp_path: Path) -> None:
    async with KubeClient.connect(tmp_path / "absent") as client:
        with pytest.raises(NoAccess, match="absent"):
            await client.get("/version")


async def test_a_context_that_is_not_there_is_no_access(api: FakeKubeApi, tmp_path: Path) -> None:
    async with KubeClient.connect(api.kubeconfig(tmp_path), "other") as client:
        with pytest.raises(NoAccess, match="other"):
            await client.get("/version")


async def test_outside_a_pod_and_without_a_file_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))

    async with KubeClient.connect() as client:
        with pytest.raises(NoAccess, match="this is no pod"):
            await client.get("/version")
