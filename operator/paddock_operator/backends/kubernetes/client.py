"""Requests to the API server: plain paths and dicts in, dicts out.

Every method raises the errors of `errors.py` and nothing else. What fails in passing is tried again
for up to 30 s where twice is the same as once: reads, server-side apply, deletes with a
precondition, merge patches that carry a resourceVersion, and creates of a named object.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paddock_operator.backends.kubernetes.access import access
from paddock_operator.backends.kubernetes.decoding import Listing, Object, decode, decode_page
from paddock_operator.backends.kubernetes.errors import AlreadyExists, Gone, NotFound
from paddock_operator.backends.kubernetes.retry import Retries
from paddock_operator.backends.kubernetes.transport import (
    SHARE,
    Observe,
    Transport,
    translated,
    unobserved,
)
from paddock_operator.backends.kubernetes.watching import Lines, WatchEvent, event_of

PAGE = 500
"""Objects per answer: 1 to 4 MB."""
_RELISTS = 3


@dataclass(frozen=True, slots=True)
class Created:
    """The object as the server stores it.

    `found` says that an answer was lost and the object was there at the next attempt: it is ours,
    or somebody else's of that name; the object tells.
    """

    object: Object
    found: bool = False


class KubeClient:
    """One cluster, for one event loop. To be closed, or used by `async with`."""

    def __init__(self, transport: Transport, share: asyncio.Semaphore | None = None) -> None:
        self._transport = transport
        self._share = share

    @classmethod
    def connect(
        cls,
        kubeconfig: Path | None = None,
        context: str | None = None,
        *,
        timeout_s: float = 10.0,
        retries: Retries | None = None,
        observe: Observe = unobserved,
    ) -> Self:
        """Nothing is sent, or read, before the first request, which may raise NoAccess."""
        way = access(kubeconfig, context)
        return cls(Transport(way, timeout_s=timeout_s, retries=retries, observe=observe))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        why: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    def share(self) -> "KubeClient":
        """This client for one of many: it has at most `SHARE` requests under way, so that what
        others ask does not wait behind all of its own. It is not to be closed."""
        return KubeClient(self._transport, asyncio.Semaphore(SHARE))

    async def get(self, path: str) -> Object:
        return await self._ask("GET", path, repeatable=True)

    async def list(self, path: str, *, labels: str = "", limit: int = PAGE) -> Listing:
        """All objects, at one version. Raises Gone when that stayed too old for its pages."""
        for again in range(_RELISTS):
            items: list[Object] = []
            version = ""
            try:
                async for page in self.pages(path, labels=labels, limit=limit):
                    items += page.items
                    version = page.resource_version
            except Gone:
                if again == _RELISTS - 1:
                    raise
            else:
                return Listing(items, version)
        raise AssertionError("unreachable")

    async def pages(
        self, path: str, *, labels: str = "", limit: int = PAGE
    ) -> AsyncGenerator[Listing, None]:
        """The same page by page, for who keeps a part of each object only.

        Raises Gone between pages when the server has forgotten the version of the first one.
        """
        query = {"limit": str(limit)} | ({"labelSelector": labels} if labels else {})
        while True:
            raw = await self._transport.ask(
                "GET", path, query=query, repeatable=True, verb="list", share=self._share
            )
            listing, more = await decode_page(raw)
            yield listing
            if not more:
                return
            query["continue"] = more

    async def watch(
        self, path: str, *, resource_version: str, labels: str = "", timeout_s: float = 300.0
    ) -> AsyncGenerator[WatchEvent, None]:
        """What changes after `resource_version`, until the server ends it after `timeout_s`.

        Bookmarks are among the events, about one a minute. Raises Gone when the version is too
        old, ServerUnavailable when the stream breaks. Silence is the caller's to notice.
        """
        query = {
            "watch": "1", "allowWatchBookmarks": "true", "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, round(timeout_s))),
        }  # fmt: skip
        if labels:
            query["labelSelector"] = labels
        answer = await self._transport.stream(path, query, verb="watch")
        lines = Lines()
        try:
            with translated(f"watch {path}"):
                async for chunk in answer.content.iter_any():
                    for line in lines.feed(chunk):
                        yield event_of(line)
        finally:
            answer.close()

    async def create(self, path: str, body: Object) -> Created:
        """POST to a collection. Without a name in the body it is sent once only."""
        name = body.get("metadata", {}).get("name", "")
        try:
            answer = await self._ask("POST", path, body=body, repeatable=bool(name))
        except AlreadyExists as error:
            if error.attempts == 1:
                raise
            try:
                return Created(await self.get(f"{path}/{name}"), found=True)
            except NotFound:
                raise error from None
        return Created(answer)

    async def dry_run_create(self, path: str, body: Object) -> Object:
        """What a create would make, with defaults and admission; nothing is stored."""
        return await self._ask("POST", path, query={"dryRun": "All"}, body=body, repeatable=True)

    async def merge_patch(self, path: str, body: Object, *, subresource: str = "") -> Object:
        """A resourceVersion in `body.metadata` makes it a compare-and-set: Conflict if it is old.

        A Conflict with `attempts` above 1 may be due to the patch itself.
        """
        safe = bool(body.get("metadata", {}).get("resourceVersion"))
        return await self._ask(
            "PATCH", _below(path, subresource), body=body,
            content_type="application/merge-patch+json", repeatable=safe,
        )  # fmt: skip

    async def apply(
        self, path: str, body: Object, *, manager: str, force: bool = True, subresource: str = ""
    ) -> Object:
        """Server-side apply of the complete intent of `manager`; creates what is not there.

        Without `force`, raises Conflict when another manager owns a field that differs.
        """
        return await self._ask(
            "PATCH", _below(path, subresource), body=body,
            query={"fieldManager": manager, "force": "true" if force else "false"},
            content_type="application/apply-patch+yaml", repeatable=True,
        )  # fmt: skip

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_s: int | None = None,
    ) -> Object:
        """The object that goes, or a Status. Raises Conflict if it is not the one that was meant.

        With a precondition it is repeated; what an earlier attempt removed answers {}. A Conflict
        with `attempts` above 1 may be due to an earlier attempt, after which the object ends.
        """
        known = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in known.items() if value is not None}
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            body["preconditions"] = preconditions
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            answer = await self._ask("DELETE", path, body=body, repeatable=bool(preconditions))
        except NotFound as error:
            if error.attempts == 1:
                raise
            return {}
        return answer

    async def can_i(
        self,
        verb: str,
        group: str,
        resource: str,
        namespace: str = "",
        subresource: str = "",
        *,
        name: str = "",
    ) -> bool:
        """Whether we may. `group` is "" for the core, `namespace` "" for all of them, `name` "" for
        objects of any name."""
        asked = {
            "verb": verb, "group": group, "resource": resource, "namespace": namespace,
            "subresource": subresource, "name": name,
        }  # fmt: skip
        answer = await self._ask(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", repeatable=True,
            body={
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked},
            },
        )  # fmt: skip
        return bool(answer["status"]["allowed"])

    async def _ask(self, method: str, path: str, *, repeatable: bool, **more: Any) -> Object:
        answer = await self._transport.ask(
            method, path, repeatable=repeatable, share=self._share, **more
        )
        return decode(answer)


def _below(path: str, subresource: str) -> str:
    return f"{path}/{subresource}" if subresource else path
