"""Bad objects, one for each rule, and good ones. Both the parser and a real API server get them."""

from dataclasses import dataclass
from typing import Any

from unit.model.manifests import CONNECTION, SMALLEST, changed_data

SCHEDULE = {"name": "day", "cron": "0 8 * * 1-5", "durationSeconds": 36000, "minRunners": 3}
STEP = {"percent": 10}
CONTAINER = {"name": "runner", "image": "example/runner:1"}
SIZE = 'a percentage like "25%"'


@dataclass(frozen=True)
class Bad:
    """A manifest with one thing wrong."""

    rule: str
    field: str
    change: dict[str, object]
    server: str = ""
    """What an API server says, where it is not the message of the rule."""
    at: str = ""
    """Where an API server finds it, if not at `field`."""

    def data(self, base: str) -> dict[str, Any]:
        return changed_data(base, self.change)

    def __str__(self) -> str:
        values = ",".join(f"{path.rpartition('__')[2]}" for path in self.change)
        return f"{self.rule}-{values}"


_RFC1123 = "lowercase RFC 1123 subdomain"
_LIST = "spec.scaling.schedules"
_GRACE = "spec.template.spec.terminationGracePeriodSeconds"
_CONTAINERS = "spec.template.spec.containers"

BREACHES = [
    Bad("name-length", "metadata.name", {"metadata__name": "a" * 49}),
    Bad("name-pattern", "metadata.name", {"metadata__name": "support.en"}),
    Bad("name-pattern", "metadata.name", {"metadata__name": "Support"}, _RFC1123),
    Bad("name-pattern", "metadata.name", {"metadata__name": "support-en\n"}, _RFC1123),
    Bad("agent-id-pattern", "spec.agentId", {"spec__agentId": "-x"}),
    Bad("agent-id-pattern", "spec.agentId", {"spec__agentId": ""}),
    Bad("agent-id-pattern", "spec.agentId", {"spec__agentId": "sales\n"}),
    Bad("min-within-max", "spec.scaling.minRunners", {"spec__scaling__minRunners": 11}),
    Bad("replicas-within-max", "spec.replicas", {"spec__replicas": 11}),
    Bad("sleep-needs-zero", "spec.scaling.scaleToZero", {"spec__scaling__scaleToZero": {}}),
    Bad("warm-reachable", "spec.scaling.warmSessions", {"spec__scaling__warmSessions": 41}),
    Bad("warm-share", "spec.scaling.warmSessions", {"spec__scaling__warmSessions": "100%"}),
    Bad(
        "warning-before-deadline",
        "spec.drain.warnBeforeSeconds",
        {"spec__drain__timeoutSeconds": 9},
    ),
    Bad("grace-covers-drain", _GRACE, {_GRACE.replace(".", "__"): 3599}),
    Bad("static-has-size", "spec.fallback.runners", {"spec__fallback__behavior": "Static"}),
    Bad(
        "stale-before-fallback",
        "spec.fallback.staleAfterSeconds",
        {"spec__fallback__staleAfterSeconds": 61},
    ),
    Bad(
        "container-names-differ",
        _CONTAINERS,
        {"spec__template__spec__containers": [CONTAINER, CONTAINER]},
        "Duplicate value",
        f"{_CONTAINERS}[1]",
    ),
    Bad("not-served-yet", _LIST, {"spec__scaling__schedules": [SCHEDULE]}),
    Bad("not-served-yet", "spec.rollout.type", {"spec__rollout__type": "OnIdle"}),
    Bad("not-served-yet", "spec.rollout.type", {"spec__rollout__type": "DrainFirst"}),
    Bad("not-served-yet", "spec.rollout.steps", {"spec__rollout__steps": [STEP]}),
]
"""Each breaks one rule and no other."""

DOUBLE_BREACHES = [
    Bad("steps-increase", "spec.rollout.steps", {"spec__rollout__steps": [STEP, STEP]}),
    Bad(
        "steps-increase",
        "spec.rollout.steps",
        {"spec__rollout__steps": [{"percent": 20}, {"percent": 10}]},
    ),
    Bad(
        "schedule-names-differ",
        _LIST,
        {"spec__scaling__schedules": [SCHEDULE, SCHEDULE]},
        "Duplicate value",
        f"{_LIST}[1]",
    ),
]
"""Each breaks one rule, and has what is not served yet."""

BAD_FIELDS = [
    Bad("required", "spec", {"spec": ...}, "Required value"),
    Bad("required", "spec.sessionsPerRunner", {"spec__sessionsPerRunner": ...}, "Required value"),
    Bad("required", "spec.template", {"spec__template": ...}, "Required value"),
    Bad("required", _CONTAINERS, {"spec__template__spec__containers": ...}, "Required value"),
    Bad(
        "required",
        f"{_CONTAINERS}[0].name",
        {"spec__template__spec__containers": [{"image": "x"}]},
        "Required value",
    ),
    Bad("unknown-field", "spec.bogus", {"spec__bogus": 1}, 'unknown field "spec.bogus"'),
    Bad(
        "unknown-field",
        "spec.drain.timeout",
        {"spec__drain__timeout": 1},
        'unknown field "spec.drain.timeout"',
    ),
    Bad(
        "one-of",
        "spec.template.spec.restartPolicy",
        {"spec__template__spec__restartPolicy": "OnFailure"},
        'supported values: "Never", "Always"',
    ),
    Bad("one-of", "spec.paused", {"spec__paused": "Sometimes"}, "supported values"),
    Bad("one-of", "spec.scaling.policy", {"spec__scaling__policy": "Hpa"}, "supported values"),
    Bad(
        "pattern",
        "spec.connectionRef.name",
        {"spec__connectionRef__name": "a.b"},
        "should match",
    ),
    Bad("length", "spec.agentId", {"spec__agentId": "a" * 64}, "may not be more than 63"),
    Bad(
        "length",
        f"{_CONTAINERS}[0].name",
        {"spec__template__spec__containers": [{"name": ""}]},
        "should be at least 1 chars long",
    ),
    Bad(
        "min-items",
        _CONTAINERS,
        {"spec__template__spec__containers": []},
        "should have at least 1 items",
    ),
    Bad(
        "max-items",
        _CONTAINERS,
        {"spec__template__spec__containers": [{"name": f"c{at}"} for at in range(17)]},
        "must have at most 16 items",
    ),
    Bad("max-items", "spec.rollout.steps", {"spec__rollout__steps": [STEP] * 21}, "at most 20"),
    Bad(
        "max-items",
        _LIST,
        {"spec__scaling__schedules": [SCHEDULE | {"name": f"s{at}"} for at in range(33)]},
        "at most 32",
    ),
    Bad(
        "range",
        "spec.sessionsPerRunner",
        {"spec__sessionsPerRunner": 0},
        "greater than or equal to 1",
    ),
    Bad(
        "range",
        "spec.sessionsPerRunner",
        {"spec__sessionsPerRunner": 1001},
        "less than or equal to 1000",
    ),
    Bad(
        "range",
        "spec.scaling.startupSecondsHint",
        {"spec__scaling__startupSecondsHint": 0},
        "greater than 0",
    ),
    Bad(
        "range",
        "spec.rollout.steps[0].percent",
        {"spec__rollout__steps": [{"percent": 0}]},
        "greater than or equal to 1",
    ),
    Bad(
        "range",
        "spec.rollout.steps[0].percent",
        {"spec__rollout__steps": [{"percent": 100}]},
        "less than or equal to 99",
    ),
    Bad(
        "type",
        "spec.sessionsPerRunner",
        {"spec__sessionsPerRunner": "5"},
        "must be of type integer",
    ),
    Bad("type", "spec.drain", {"spec__drain": 60}, "must be of type object"),
    Bad(
        "int-or-percent", "spec.scaling.warmSessions", {"spec__scaling__warmSessions": "25 %"}, SIZE
    ),
    Bad("int-or-percent", "spec.scaling.warmSessions", {"spec__scaling__warmSessions": -1}, SIZE),
    Bad("int-or-percent", "spec.rollout.maxSurge", {"spec__rollout__maxSurge": "101%"}, SIZE),
    Bad("int-or-percent", "spec.rollout.maxSurge", {"spec__rollout__maxSurge": "5"}, SIZE),
    Bad(
        "int-or-percent",
        "spec.scaling.scaleDown.maxDraining",
        {"spec__scaling__scaleDown__maxDraining": 2**31},
        SIZE,
    ),
    Bad(
        "int-or-percent",
        "spec.scaling.scaleUp.maxStarting",
        {"spec__scaling__scaleUp__maxStarting": "5%\n"},
        SIZE,
    ),
    Bad(
        "int-or-percent",
        f"{_LIST}[0].warmSessions",
        {"spec__scaling__schedules": [SCHEDULE | {"warmSessions": "5"}]},
        "should match",
    ),
]
"""Each has a field that is wrong by itself."""

EDGES: list[dict[str, object]] = [
    {"metadata__name": "a" * 48},
    {"metadata__name": "7"},
    {"spec__scaling__minRunners": 10},
    {"spec__replicas": 0},
    {"spec__scaling": {"minRunners": 0, "scaleToZero": {}}},
    {"spec__scaling__warmSessions": 40},
    {"spec__scaling__warmSessions": "99%"},
    {"spec__drain": {"timeoutSeconds": 60}},
    {"spec__template__spec__terminationGracePeriodSeconds": 3600},
    {"spec__fallback": {"behavior": "Static", "runners": 0}},
    {"spec__fallback": {"staleAfterSeconds": 60}},
    {"spec__rollout__type": "Paused"},
]
"""Each is just allowed by a rule."""

_SIZES = [0, 1, 40, 41, "0%", "99%", "100%", "101%", -1, "5"]

VALUES: dict[str, list[object]] = {
    "metadata__name": ["a", "a" * 48, "a" * 49, "a.b", "a-", "7"],
    "spec__agentId": ["sales", "a" * 63, "a" * 64, "", "-", "A", "é"],
    "spec__sessionsPerRunner": [0, 1, 1000, 1001, "4"],
    "spec__replicas": [0, 1, 10, 11, 100_000, 100_001],
    "spec__paused": ["None", "Everything", "none", ""],
    "spec__scaling__policy": ["Horizon", "Buffer", "HPA"],
    "spec__scaling__minRunners": [0, 1, 10, 11, -1],
    "spec__scaling__maxRunners": [0, 1, 10, 100_000],
    "spec__scaling__warmSessions": _SIZES,
    "spec__scaling__scaleUp": [{}, *({"maxStarting": size} for size in _SIZES)],
    "spec__scaling__scaleToZero": [{}, {"afterSeconds": 0}, {"afterSeconds": -1}],
    "spec__scaling__objectivePercent": [50, 49.9, 99.99, 100],
    "spec__scaling__startupSecondsHint": [0, 0.1, 3600, 3601],
    "spec__drain__timeoutSeconds": [0, 59, 60, 3600, 2_592_000, 2_592_001],
    "spec__drain__warnBeforeSeconds": [0, 60, 3600, 3601],
    "spec__rollout__maxSurge": _SIZES,
    "spec__rollout__type": ["Surge", "Paused", "OnIdle", "Recreate"],
    "spec__fallback__behavior": ["HoldOrRaise", "Static"],
    "spec__fallback__runners": [0, 100_000, 100_001],
    "spec__fallback__afterSeconds": [0, 14, 15],
    "spec__template__spec__terminationGracePeriodSeconds": [0, 3599, 3600, 2_592_000],
    "spec__template__spec__containers": [[CONTAINER], [CONTAINER, CONTAINER], [{}], []],
}
"""Values for fields, near to what is just allowed."""

_URL = "spec.url"

CONNECTION_BREACHES = [
    Bad("name-pattern", "metadata.name", {"metadata__name": "a" * 64}),
    Bad("name-pattern", "metadata.name", {"metadata__name": "a.b"}),
    Bad("url-form", _URL, {"spec__url": "https://user:word@paddock.example"}),
    Bad("url-form", _URL, {"spec__url": "https://paddock.example?key=1"}),
    Bad("url-form", _URL, {"spec__url": "https://paddock.example\n"}),
    Bad("url-form", _URL, {"spec__url": "https:///path"}),
    *(
        Bad("url-port", _URL, {"spec__url": f"https://paddock.example:{port}"})
        for port in ("0", "65536", "99999", "08600")
    ),
    Bad("url-port", _URL, {"spec__url": "http://paddock:99999/base"}),
    *(
        Bad("url-brackets", _URL, {"spec__url": f"https://[{host}]:8443/base"})
        for host in ("::::", "1.2.3.4", "1:2:3:4:5:6:7", "1::2::3", "1:2:3:4:5:6:7:8::", "12345::")
    ),
    Bad("url-secure", _URL, {"spec__url": "http://paddock.example"}),
    Bad("url-secure", _URL, {"spec__url": "http://10.0.0.5:8600"}),
    Bad("url-secure", _URL, {"spec__url": "http://127.0.0.1:8600"}),
    Bad("url-secure", _URL, {"spec__url": "http://localhost:8600"}),
    Bad("url-secure", _URL, {"spec__url": "http://[::1]:8600"}),
    Bad("url-secure", _URL, {"spec__url": "http://2130706433"}),
    Bad("url-secure", _URL, {"spec__url": "http://0x7f000001"}),
    Bad("url-secure", _URL, {"spec__url": "http://x.svc.evil.example"}),
    Bad("url-secure", _URL, {"spec__url": "http://x..svc"}),
    *(
        Bad("url-secure", _URL, {"spec__allowInsecure": True, "spec__url": f"http://{host}"})
        for host in (
            "8.8.8.8",
            "paddock.example",
            "169.254.169.254",
            "172.32.0.1",
            "192.169.0.1",
            "010.0.0.1",
            "10.0.0.256",
            "10.0.1",
            "10.0.0.5.example.com",
            "[2001:db8::1]",
            "[fe80::1]",
        )
    ),
    Bad(
        "ca-needs-https", "spec.caBundle", {"spec__url": "http://paddock", "spec__caBundle": "AAAA"}
    ),
]

BAD_CONNECTION_FIELDS = [
    Bad("required", "spec", {"spec": ...}, "Required value"),
    Bad("required", "spec.url", {"spec__url": ...}, "Required value"),
    Bad("required", "spec.secretRef", {"spec__secretRef": ...}, "Required value"),
    Bad("required", "spec.secretRef.name", {"spec__secretRef__name": ...}, "Required value"),
    Bad("pattern", "spec.secretRef.name", {"spec__secretRef__name": "A"}, "should match"),
    Bad("pattern", "spec.caBundle", {"spec__caBundle": "-----BEGIN"}, "should match"),
    Bad(
        "unknown-field",
        "spec.secretRef.namespace",
        {"spec__secretRef__namespace": "other"},
        'unknown field "spec.secretRef.namespace"',
    ),
    Bad("type", "spec.allowInsecure", {"spec__allowInsecure": "true"}, "must be of type boolean"),
]

GOOD_URLS = [
    ("https://paddock.example", False),
    ("https://10.0.0.5:8443/paddock/", False),
    ("https://[2001:db8::1]", False),
    ("https://[1:2:3:4:5:6:7:8]:65535/", False),
    ("https://[::]", False),
    ("https://[FE80::1:2:3:4:5:6]:1", False),
    ("https://[1:2:3:4:5:6:7::]", False),
    ("https://localhost", False),
    ("http://paddock", False),
    ("http://paddock:8600/", False),
    ("http://paddock.acme.svc", False),
    ("http://paddock.acme.svc.cluster.local:8600/base", False),
    ("http://10.0.0.5:8600", True),
    ("http://127.0.0.1:8600", True),
    ("http://localhost:8600", True),
    ("http://192.168.1.1", True),
    ("http://172.16.0.1", True),
    ("http://[::1]:8600", True),
    ("http://[fd00::1]", True),
]
"""With whether `allowInsecure` must be set."""

BAD_POOLS = [(SMALLEST, bad) for bad in (*BREACHES, *DOUBLE_BREACHES, *BAD_FIELDS)]
BAD_CONNECTIONS = [(CONNECTION, bad) for bad in (*CONNECTION_BREACHES, *BAD_CONNECTION_FIELDS)]
