"""The chart's network policies, enforced by a node on real connections."""

import asyncio
import subprocess

import pytest

from chart.installation import Installation
from chart.rendering import Json
from chart.test_installed import EXAMPLE, WAIT, first_call, good
from fakes.waiting import eventually
from testbed.waiting import wait_until

pytestmark = [pytest.mark.realnode, pytest.mark.timeout(1200)]

PROBES, ELSEWHERE = 8601, 9999
REFUSED = 7
_DIAL = f"""
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
except (TimeoutError, ConnectionRefusedError):
    sys.exit({REFUSED})
"""


class Pods:
    """Those of an installation, which dial each other."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._open: list[subprocess.Popen[bytes]] = []
        names = {name.partition("/")[2] for name in installation.names("pods")}
        self.operator = next(name for name in names if "operator" in name)
        self.orchestrator = "paddock-orchestrator-0"
        (self.runner,) = installation.runners()

    def _command(self, pod: str, *words: str) -> list[str]:
        cluster = self._installation.cluster
        return [
            str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}",
            f"--namespace={self._installation.namespace}", "exec", pod, "--", "python", *words,
        ]  # fmt: skip

    async def reaches(self, pod: str, other: str, port: int) -> bool:
        """Whether a connection from one to a port of the other opens."""
        address = self._installation.core("pods", other).body["status"]["podIP"]
        dial = self._command(pod, "-c", _DIAL, address, str(port))
        code = (await asyncio.to_thread(subprocess.run, dial)).returncode
        assert code in (0, REFUSED)
        return code == 0

    def listen(self, pod: str, port: int) -> None:
        """On a port more than it has, until `close`; what is in the pod reaches it."""
        command = self._command(pod, "-m", "http.server", str(port), "--directory", "/tmp")
        self._open.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        dial = self._command(pod, "-c", _DIAL, "127.0.0.1", str(port))

        def listens() -> bool:
            return subprocess.run(dial, check=False).returncode == 0

        wait_until(f"{pod} on {port}", listens, within_s=60)

    def close(self) -> None:
        for each in self._open:
            each.kill()
            each.wait()


async def test_pods_reach_each_other_where_the_policies_say_so_and_nowhere_else(
    installation: Installation, image: str
) -> None:
    """A call goes through them; the orchestrator opens no connection; ports beside those that are
    let through are not reached; a narrower policy holds at once, and lets through who asks for live
    calls."""
    good(installation.install(*WAIT))
    installation.declare(replicas=1, args=EXAMPLE)
    assert (await first_call(installation)).answers_ms
    pods = Pods(installation)
    try:
        await asyncio.to_thread(pods.listen, pods.operator, ELSEWHERE)
        await asyncio.to_thread(pods.listen, pods.runner, ELSEWHERE)

        async def as_the_policies_say() -> bool:
            reached = [
                await pods.reaches(pods.runner, pods.operator, PROBES),
                await pods.reaches(pods.runner, pods.operator, ELSEWHERE),
                await pods.reaches(pods.operator, pods.runner, ELSEWHERE),
                await pods.reaches(pods.orchestrator, pods.runner, ELSEWHERE),
                await pods.reaches(pods.orchestrator, pods.operator, PROBES),
            ]
            print(reached)
            return reached == [True, False, True, False, False]

        await eventually(as_the_policies_say, within_s=120)  # a node enforces them a bit later
    finally:
        pods.close()

    nobody = [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
    narrow: Json = {"operatorFrom": nobody, "orchestratorFrom": nobody}
    good(installation.upgrade(*WAIT, networkPolicy=narrow))

    async def refused() -> bool:
        return not await pods.reaches(pods.runner, pods.operator, PROBES)

    await eventually(refused, within_s=60, what="a narrower policy")
    ready = installation.core("pods", pods.operator).body["status"]["containerStatuses"][0]["ready"]
    assert ready, "the kubelet's probes must get through"
    done = await asyncio.to_thread(installation.uninstall)
    assert done.returncode != 0, "a pool is declared"
    assert "the orchestrator was not asked" not in done.stdout + done.stderr
