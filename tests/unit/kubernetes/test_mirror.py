"""A mirror ends equal to the server, in whatever order listings and events arrive."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from paddock_operator.backends.kubernetes.mirror import Change, Key, Mirror
from paddock_operator.backends.kubernetes.watching import WatchEvent

_NAMES = "abc"


def _item(name: str, version: int, uid: str = "u", value: str = "") -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "n", "name": name, "uid": uid, "resourceVersion": str(version),
        },
        "value": value,
    }  # fmt: skip


def _keep(item: dict[str, Any]) -> str | None:
    """What says `none` is left out."""
    return None if item["value"] == "none" else str(item["value"])


@dataclass
class _Server:
    """All it ever held, as a log."""

    version: int = 10
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[tuple[int, WatchEvent]] = field(default_factory=list)

    def write(self, name: str, value: str | None) -> None:
        self.version += 1
        old = self.objects.get(name)
        if value is not None:
            uid = old["metadata"]["uid"] if old else f"u{self.version}"
            item = _item(name, self.version, uid, value)
            self.objects[name] = item
            event = WatchEvent("MODIFIED" if old else "ADDED", item)
        elif old:
            del self.objects[name]
            last = {**old["metadata"], "resourceVersion": str(self.version)}
            event = WatchEvent("DELETED", {**old, "metadata": last})
        else:
            event = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})
        self.log.append((self.version, event))

    def held(self) -> dict[Key, str]:
        kept = {Key("n", name): _keep(item) for name, item in self.objects.items()}
        return {key: value for key, value in kept.items() if value is not None}


def _list(mirror: Mirror[str], server: _Server, pages: int = 2) -> list[Change[str]]:
    mirror.begin_listing()
    items = list(server.objects.values())
    for page in range(pages):
        mirror.page(items[page::pages])
    return mirror.end_listing(str(server.version))


_writes = st.tuples(
    st.just("write"), st.sampled_from(_NAMES), st.sampled_from([None, "1", "2", "none"])
)
_listings = st.tuples(st.just("list"), st.integers(1, 3), st.booleans())
_watches = st.tuples(st.just("watch"), st.integers(0, 30), st.integers(0, 8))


@settings(max_examples=300)
@given(st.lists(st.one_of(_writes, _writes, _listings, _watches), max_size=40))
def test_a_mirror_ends_equal_to_the_server(steps: list[tuple[Any, ...]]) -> None:
    server, mirror = _Server(), Mirror(_keep)
    told: dict[Key, str] = {}

    def hear(changes: list[Change[str]]) -> None:
        for key, old, new in changes:
            assert old != new
            assert told.get(key) == old
            told.pop(key, None)
            if new is not None:
                told[key] = new

    hear(_list(mirror, server))
    for step in steps:
        match step:
            case ("write", name, value):
                server.write(name, value)
            case ("list", pages, given_up):
                if given_up:
                    mirror.page(list(server.objects.values())[:pages])
                else:
                    hear(_list(mirror, server, pages))
            case ("watch", back, count):
                # From where it was, or from before: then events come a second time.
                since = max(10, int(mirror.version) - back)
                for _, event in [e for e in server.log if e[0] > since][: back + count]:
                    hear(mirror.event(event))
    for _, event in server.log:
        hear(mirror.event(event))

    assert mirror.store == server.held() == told


def test_an_object_that_took_a_name_over_is_two_changes() -> None:
    mirror = Mirror(_keep)
    mirror.page([_item("a", 1, "old", "x")])
    mirror.end_listing("5")

    mirror.page([_item("a", 7, "new", "x")])
    changes = mirror.end_listing("7")

    key = Key("n", "a")
    assert changes == [Change(key, "x", None), Change(key, None, "x")]


def test_an_event_that_is_not_newer_says_nothing() -> None:
    mirror = Mirror(_keep)
    mirror.page([_item("a", 5, value="x")])
    mirror.end_listing("9")

    assert mirror.event(WatchEvent("DELETED", _item("a", 9))) == []
    assert mirror.event(WatchEvent("ADDED", _item("b", 8, value="y"))) == []
    assert mirror.store == {Key("n", "a"): "x"}


def test_a_bookmark_moves_the_version_only() -> None:
    mirror = Mirror(_keep)
    mirror.end_listing("9")

    assert mirror.event(WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "10"}})) == []
    assert mirror.version == "10"


def test_a_server_that_went_back_is_believed() -> None:
    mirror = Mirror(_keep)
    mirror.page([_item("a", 100, value="x")])
    mirror.end_listing("100")

    mirror.page([_item("a", 40, value="w")])
    mirror.end_listing("50")
    mirror.event(WatchEvent("MODIFIED", _item("a", 51, value="v")))

    assert mirror.store == {Key("n", "a"): "v"}


def test_a_listing_that_was_given_up_leaves_nothing() -> None:
    mirror = Mirror(_keep)
    mirror.page([_item("a", 1, value="x")])
    mirror.begin_listing()
    mirror.page([_item("b", 1, value="x")])
    mirror.end_listing("2")

    assert set(mirror.store) == {Key("n", "b")}
