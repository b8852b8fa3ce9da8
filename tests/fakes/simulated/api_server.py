"""What an API server promises about its objects, in memory. Requests are handled one at a time.

Modelled: versions, preconditions, names, merge patches, apply, status, finalizers, graceful
deletion of pods, owners, watches from a version on that lasts for a while. Objects are never
changed in place.
"""

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

Json = dict[str, Any]
KEPT_EVENTS = 400
"""Of each collection; who asks for older ones has to list again."""


class Refused(Exception):
    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(f"{status} {reason} {message}")
        self.status = status
        self.body = {"kind": "Status", "code": status, "reason": reason, "message": message}


@dataclass(frozen=True, slots=True)
class Written:
    """One write that took effect. `before` is None for a new object, `after` for one that went."""

    who: str
    path: str
    before: Json | None
    after: Json | None


@dataclass(eq=False)
class Log:
    """What happened to a collection, in order."""

    versions: list[int] = field(default_factory=list)
    events: list[tuple[str, Json]] = field(default_factory=list)
    forgotten: int = 0
    """The newest version that is not here any more."""

    def add(self, version: int, kind: str, obj: Json) -> None:
        self.versions.append(version)
        self.events.append((kind, obj))
        if len(self.versions) > KEPT_EVENTS:
            half = KEPT_EVENTS // 2
            self.forgotten = self.versions[half - 1]
            del self.versions[:half], self.events[:half]

    def after(self, version: int) -> tuple[int, str, Json] | None:
        """The next event; Refused when it may have been forgotten."""
        if version < self.forgotten:
            raise Refused(410, "Expired", "too old resource version")
        at = bisect.bisect_right(self.versions, version)
        if at == len(self.versions):
            return None
        return (self.versions[at], *self.events[at])


class ApiServer:
    """`on_write` is told of each write after it took effect."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self.objects: dict[str, Json] = {}
        self.version = 1000
        self.logs: dict[str, Log] = {}
        self.on_write: list[Callable[[Written], None]] = []
        self.quota: int | None = None
        """How many pods there may be; None is any number."""
        self._uids = 0

    def of(self, collection: str) -> list[Json]:
        start = f"{collection}/"
        return [o for path, o in self.objects.items() if path.startswith(start)]

    def log(self, collection: str) -> Log:
        return self.logs.setdefault(collection, Log())

    def handle(
        self,
        who: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content_type: str,
    ) -> Json:
        """The answer's body. Raises Refused."""
        if path.endswith("selfsubjectaccessreviews"):
            return {"status": {"allowed": True}}
        body = None if body is None else msgspec.json.decode(msgspec.json.encode(body))
        match method:
            case "GET":
                return self._get(path, query)
            case "POST":
                return self._create(who, path, body, dry="dryRun" in query)
            case "PATCH" if content_type.startswith("application/apply"):
                return self._apply(who, path, body)
            case "PATCH":
                return self.patch(who, path, body)
            case "DELETE":
                return self.delete(who, path, body.get("preconditions", {}))
        raise AssertionError(method)

    def _get(self, path: str, query: Mapping[str, str]) -> Json:
        if path in self.objects:
            return self.objects[path]
        if not _is_collection(path):
            raise Refused(404, "NotFound", path)
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        items = [
            item
            for item in self.of(path)
            if wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]
        return {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    def _create(self, who: str, collection: str, body: Json, *, dry: bool) -> Json:
        path = f"{collection}/{body['metadata']['name']}"
        if collection.endswith("/events"):
            return body
        if path in self.objects and not dry:
            raise Refused(409, "AlreadyExists", path)
        if collection.endswith("/pods"):
            if self.quota is not None and len(self.of(collection)) >= self.quota:
                raise Refused(403, "Forbidden", "exceeded quota: pods")
            body = {**body, "status": {"phase": "Pending"}}
        if dry:
            return body
        self._uids += 1
        made = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {
            **body["metadata"], "uid": f"uid{self._uids:06d}", "creationTimestamp": made,
            "generation": 1,
        }  # fmt: skip
        return self._store(who, path, {**body, "metadata": metadata})

    def _apply(self, who: str, path: str, body: Json) -> Json:
        """Of one manager for all fields, which is how it is used here."""
        if path.endswith("/status"):
            path = path.removesuffix("/status")
            old = self._there(path)
            return self._store(who, path, {**old, "status": body["status"]})
        if path not in self.objects:
            return self._create(who, path.rpartition("/")[0], body, dry=False)
        old = self.objects[path]
        return self._store(who, path, _merged(old, {k: v for k, v in body.items() if k != "kind"}))

    def patch(self, who: str, path: str, body: Json) -> Json:
        """A merge patch; with a resourceVersion it is a compare-and-set."""
        old = self._there(path)
        self._expect(old, body.get("metadata", {}), path)
        new = _merged(old, body)
        if new.get("spec") != old.get("spec") and path.split("/")[-2] != "pods":
            generation = old["metadata"]["generation"] + 1
            new = {**new, "metadata": {**new["metadata"], "generation": generation}}
        metadata = new["metadata"]
        if metadata.get("deletionTimestamp") and not _is_pod(path) and not _held(metadata):
            return self._remove(who, path, new)
        return self._store(who, path, new)

    def delete(
        self, who: str, path: str, preconditions: Json, *, grace_s: int | None = None
    ) -> Json:
        """Gracefully: for good only when nothing holds the object."""
        old = self._there(path)
        self._expect(old, preconditions, path)
        metadata = old["metadata"]
        if not _is_pod(path):
            if not _held(metadata):
                return self._remove(who, path, old)
            if "deletionTimestamp" in metadata:
                return old
            changed = {"deletionTimestamp": "now", "generation": metadata["generation"] + 1}
            return self._store(who, path, {**old, "metadata": {**metadata, **changed}})
        ended = old["status"]["phase"] in ("Failed", "Succeeded")
        if ended or not old["spec"].get("nodeName") or grace_s == 0:
            return self._remove(who, path, old)
        if "deletionTimestamp" in metadata:
            return old
        grace = old["spec"]["terminationGracePeriodSeconds"] if grace_s is None else grace_s
        changed = {"deletionTimestamp": "now", "deletionGracePeriodSeconds": grace}
        return self._store(who, path, {**old, "metadata": {**metadata, **changed}})

    def remove(self, who: str, path: str) -> None:
        """For good, whatever holds it."""
        if path in self.objects:
            self._remove(who, path, self.objects[path])

    def _there(self, path: str) -> Json:
        if path not in self.objects:
            raise Refused(404, "NotFound", path)
        return self.objects[path]

    def _expect(self, old: Json, preconditions: Json, path: str) -> None:
        for name in ("uid", "resourceVersion"):
            wanted = preconditions.get(name)
            if wanted is not None and wanted != old["metadata"][name]:
                raise Refused(409, "Conflict", f"{path}: {name} is {old['metadata'][name]}")

    def _store(self, who: str, path: str, new: Json) -> Json:
        old = self.objects.get(path)
        if old is not None and _same(old, new):
            return old
        self.version += 1
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self.version)}}
        self.objects[path] = new
        self._note(who, path, "ADDED" if old is None else "MODIFIED", old, new)
        return new

    def _remove(self, who: str, path: str, last: Json) -> Json:
        before = self.objects.pop(path)
        self.version += 1
        last = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self.version)}}
        self._note(who, path, "DELETED", before, None, last)
        return last

    def _note(
        self,
        who: str,
        path: str,
        kind: str,
        before: Json | None,
        after: Json | None,
        last: Json | None = None,
    ) -> None:
        self.log(path.rpartition("/")[0]).add(self.version, kind, after or last or {})
        for listener in self.on_write:
            listener(Written(who, path, before, after))


def _is_collection(path: str) -> bool:
    """Names of objects here have a dash, a digit or are known; names of collections are plural."""
    return path.rpartition("/")[2] in (
        "pods", "nodes", "agentdeployments", "orchestratorconnections", "controllerrevisions",
        "poddisruptionbudgets",
    )  # fmt: skip


def _is_pod(path: str) -> bool:
    return path.split("/")[-2] == "pods"


def _held(metadata: Json) -> bool:
    return bool(metadata.get("finalizers"))


def _same(old: Json, new: Json) -> bool:
    def bare(obj: Json) -> Json:
        metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
        return {**obj, "metadata": metadata}

    return bare(old) == bare(new)


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
