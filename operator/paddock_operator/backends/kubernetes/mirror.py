"""What a cluster holds of one resource, from listings and watch events. Sans-I/O.

Invariant: `store` is what the server held at `version`, reduced. Events come in the order of their
versions, so an event that is not newer than `version` says nothing new. A listing is believed
whatever its version is: a server restored from a backup goes back.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from paddock_operator.backends.kubernetes.watching import WatchEvent

T = TypeVar("T")


class Key(NamedTuple):
    """`namespace` is "" for what belongs to none."""

    namespace: str
    name: str


class Change(NamedTuple, Generic[T]):
    """`old` is None for what is new, `new` None for what went. They are never equal."""

    key: Key
    old: T | None
    new: T | None


class Mirror(Generic[T]):
    """`keep` reduces an object to what is needed; None leaves it out."""

    def __init__(self, keep: Callable[[dict[str, Any]], T | None]) -> None:
        self._keep = keep
        self._objects: dict[Key, T] = {}
        self._uids: dict[Key, str] = {}
        self.store: Mapping[Key, T] = MappingProxyType(self._objects)
        self.version = ""
        self._listed: dict[Key, tuple[str, T]] = {}

    def begin_listing(self) -> None:
        """Forget the pages of a listing that was given up."""
        self._listed = {}

    def page(self, items: Iterable[dict[str, Any]]) -> None:
        """A part of a listing; nothing changes yet."""
        for item in items:
            kept = self._keep(item)
            if kept is not None:
                self._listed[key_of(item)] = (_uid(item), kept)

    def end_listing(self, version: str) -> list[Change[T]]:
        """The listing is complete: it is all there is. What it does not name is gone."""
        listed, self._listed = self._listed, {}
        changes: list[Change[T]] = []
        for key in [key for key in self._objects if key not in listed]:
            changes += self._remove(key)
        for key, (uid, kept) in listed.items():
            changes += self._put(key, uid, kept)
        self.version = version
        return changes

    def event(self, event: WatchEvent) -> list[Change[T]]:
        """What an event changes: mostly one thing, two if another object has taken the name."""
        item = event.object
        version = item["metadata"]["resourceVersion"]
        if not _newer(version, self.version):
            return []
        self.version = version
        if event.type == "BOOKMARK":
            return []
        key = key_of(item)
        kept = None if event.type == "DELETED" else self._keep(item)
        return self._remove(key) if kept is None else self._put(key, _uid(item), kept)

    def _put(self, key: Key, uid: str, kept: T) -> list[Change[T]]:
        replaced = self._remove(key) if self._uids.get(key, uid) != uid else []
        old = self._objects.get(key)
        self._objects[key] = kept
        self._uids[key] = uid
        return replaced if old == kept else [*replaced, Change(key, old, kept)]

    def _remove(self, key: Key) -> list[Change[T]]:
        old = self._objects.pop(key, None)
        self._uids.pop(key, None)
        return [] if old is None else [Change(key, old, None)]


def key_of(item: Mapping[str, Any]) -> Key:
    """The place of an object."""
    return Key(item["metadata"].get("namespace", ""), item["metadata"]["name"])


def version_number(version: str) -> int:
    """A resourceVersion to compare with others; 0 if it is none that can be."""
    return int(version) if version.isdecimal() else 0


def _uid(item: Mapping[str, Any]) -> str:
    return str(item["metadata"].get("uid", ""))


def _newer(version: str, than: str) -> bool:
    """Versions are numbers that grow. One that is none is taken for newer unless it is the same."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than
