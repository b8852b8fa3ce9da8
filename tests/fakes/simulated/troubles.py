"""What goes wrong in a world from outside the operator, one thing after another."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from fakes.simulated.api_server import Json, Refused
from fakes.simulated.kubelet import NODES

if TYPE_CHECKING:
    from fakes.simulated.world import World

CRASHES = 0.004
THEMES: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("flap", "cut_socket", "freeze", "kill_operator", "two_operators"),
    ("flap", "freeze", "api_outage", "crash_runner"),
    ("two_operators", "crash_runner", "force_delete", "bad_template", "roll_out", "resize"),
    ("roll_out", "resize", "cordon", "api_outage", "pause", "bad_template"),
    ("orchestrator_outage", "flap", "kill_operator"),
    ("recreate", "resize", "kill_operator", "api_outage", "two_operators"),
)
"""What is rare among everything is common somewhere; () is everything."""


class Troubles:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.chaos.random
        self._marks = 1
        self._lasting: set[asyncio.Task[None]] = set()
        self._all: list[tuple[int, Callable[[], object]]] = [
            (6, self._kill_operator),
            (3, self._two_operators),
            (3, self._api_outage),
            (3, self._orchestrator_outage),
            (2, self._freeze),
            (4, self._cut_socket),
            (4, self._crash_runner),
            (2, self._force_delete),
            (2, self._kubectl_delete),
            (3, self._cordon),
            (4, self._roll_out),
            (1, self._bad_template),
            (5, self._resize),
            (6, self._flap),
            (3, self._pause),
            (2, self._change_drain),
            (1, self._skew),
            (1, self._quota),
            (1, self._recreate),
        ]

    async def run(self) -> None:
        world = self._world
        theme = self._random.choice(THEMES) if world.theme is None else world.theme
        weights = [
            weight if not theme or trouble.__name__.strip("_") in theme else 0
            for weight, trouble in self._all
        ]
        pause_s = self._random.choice((2.0, 5.0, 12.0))
        crashes = self._random.choice((0.0, CRASHES, 4 * CRASHES))
        while True:
            world.crashes = self._random.choice((0.0, crashes))
            await asyncio.sleep(self._random.uniform(0.2, 2.0 * pause_s))
            (trouble,) = self._random.choices(self._all, weights)
            world.judge.step(f"trouble: {trouble[1].__name__.strip('_')}")
            trouble[1]()

    def heal(self) -> None:
        """The last fault is over; what was declared wrong is declared right."""
        world = self._world
        for task in self._lasting:
            task.cancel()
        self._lasting.clear()
        world.api_is_up = True
        world.orchestrator.start()
        world.orchestrator.frozen = False
        world.wanted_operators = 1
        world.crashes = 0.0
        world.api.quota = None
        for process in world.operators.values():
            process.skew_s = 0.0
        for name in NODES:
            self._node(name, cordoned=False)
        world.change_pool(paused="None")
        if self._is_bad():
            self._roll_out()

    def _for(self, seconds: float, then: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            then()

        task = asyncio.get_running_loop().create_task(wait())
        self._lasting.add(task)
        task.add_done_callback(self._lasting.discard)

    # -- processes --------------------------------------------------------------------------

    def _kill_operator(self) -> None:
        if self._world.operators:
            self._random.choice(list(self._world.operators.values())).crash()

    def _two_operators(self) -> None:
        world = self._world
        world.wanted_operators = 2
        self._for(self._random.uniform(10.0, 90.0), lambda: setattr(world, "wanted_operators", 1))

    def _api_outage(self) -> None:
        world = self._world
        world.api_is_up = False
        self._for(self._random.uniform(1.0, 40.0), lambda: setattr(world, "api_is_up", True))

    def _orchestrator_outage(self) -> None:
        self._world.orchestrator.stop()
        seconds = self._random.choice((0.5, 10.0, 60.0))
        self._for(seconds, self._world.orchestrator.start)

    def _freeze(self) -> None:
        orchestrator = self._world.orchestrator
        orchestrator.frozen = True
        self._for(self._random.uniform(5.0, 60.0), lambda: setattr(orchestrator, "frozen", False))

    def _skew(self) -> None:
        for process in self._world.operators.values():
            process.skew_s = self._random.uniform(-1.9, 1.9)

    # -- runners and pods -------------------------------------------------------------------

    def _cut_socket(self) -> None:
        wires = [r.wire for r in self._world.runners.values() if r.wire is not None]
        if wires:
            self._random.choice(wires).cut()

    def _crash_runner(self) -> None:
        alive = [runner for runner in self._world.runners.values() if runner.alive]
        if alive:
            self._random.choice(alive).kill("a crash")

    def _force_delete(self) -> None:
        self._delete(0)

    def _kubectl_delete(self) -> None:
        self._delete(None)

    def _delete(self, grace_s: int | None) -> None:
        pods = self._world.pods()
        if pods:
            name = self._random.choice(pods)["metadata"]["name"]
            path = f"/api/v1/namespaces/{self._world.namespace}/pods/{name}"
            self._world.api.delete("somebody", path, {}, grace_s=grace_s)

    def _cordon(self) -> None:
        name = self._random.choice(NODES)
        self._node(name, cordoned=True)
        self._for(self._random.uniform(5.0, 60.0), lambda: self._node(name, cordoned=False))

    def _node(self, name: str, *, cordoned: bool) -> None:
        spec = {"unschedulable": True if cordoned else None}
        self._world.api.patch("somebody", f"/api/v1/nodes/{name}", {"spec": spec})

    def _quota(self) -> None:
        api = self._world.api
        api.quota = self._random.randint(0, 4)
        self._for(self._random.uniform(5.0, 40.0), lambda: setattr(api, "quota", None))

    # -- the manifest -----------------------------------------------------------------------

    def _template(self, mark: str) -> Json:
        template: Json = self._world.spec["template"]
        restart = template["spec"]["restartPolicy"]
        one = {"name": "agent", "image": "none", "env": [{"name": "MARK", "value": mark}]}
        return {"spec": {"restartPolicy": restart, "containers": [one]}}

    def _is_bad(self) -> bool:
        container = self._world.spec["template"]["spec"]["containers"][0]
        return bool(container["env"][0]["value"] == "bad")

    def _roll_out(self) -> None:
        self._marks = self._random.choice((self._marks + 1, max(1, self._marks - 1)))
        self._world.change_pool(template=self._template(str(self._marks)))

    def _bad_template(self) -> None:
        self._world.change_pool(template=self._template("bad"))

    def _resize(self) -> None:
        most = self._world.spec["scaling"]["maxRunners"]
        change = self._random.choice(("replicas", "replicas", "automatic", "maximum"))
        if change == "replicas":
            self._world.change_pool(replicas=self._random.randint(0, most))
        elif change == "automatic":
            self._world.change_pool(replicas=None)
        elif "replicas" not in self._world.spec:
            self._world.change_pool(scaling={"maxRunners": self._random.choice((3, 4, 6))})

    def _flap(self) -> None:
        """One fewer, and at once one more: drains that are called off."""
        world = self._world
        most = world.spec["scaling"]["maxRunners"]
        size = self._random.randint(1, most)
        world.change_pool(replicas=size)

        def less() -> None:
            world.change_pool(replicas=max(0, size - self._random.randint(1, 2)))

        def more() -> None:
            world.change_pool(replicas=min(size, world.spec["scaling"]["maxRunners"]))

        at = 0.0
        for change in (less, more, less, more):
            at += self._random.uniform(0.5, 6.0)
            self._for(at, change)

    def _pause(self) -> None:
        words = ("None", "ScaleDown", "ScaleUp", "Scaling", "Everything")
        self._world.change_pool(paused=self._random.choice(words))
        later = self._random.uniform(5.0, 40.0)
        self._for(later, lambda: self._world.change_pool(paused="None"))

    def _change_drain(self) -> None:
        self._world.change_pool(drain={"timeoutSeconds": self._random.choice((20, 40, 90))})

    def _recreate(self) -> None:
        """Deleted, and soon declared again under the same name."""
        world = self._world
        with suppress(Refused):
            world.api.delete("somebody", world.pool_path, {})

        async def again() -> None:
            while world.pools():  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            world.create_pool()

        task = asyncio.get_running_loop().create_task(again())
        self._lasting.add(task)
