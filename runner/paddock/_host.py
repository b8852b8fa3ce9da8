"""Where a runner runs, as it describes itself to people."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_CLOUD_REGION", "FLY_REGION", "REGION")


@dataclass(frozen=True, slots=True)
class Host:
    hostname: str
    address: str | None
    region: str | None
    deployment: str
    """"cloud" | "local\""""


def describe_host(env: Mapping[str, str]) -> Host:
    """From `PADDOCK_WORKER_*` (or `UNPOD_WORKER_*`), else from the machine. Descriptive only."""

    def told(name: str) -> str | None:
        return env.get(f"PADDOCK_WORKER_{name}") or env.get(f"UNPOD_WORKER_{name}")

    in_cluster = "KUBERNETES_SERVICE_HOST" in env
    return Host(
        hostname=told("HOSTNAME") or socket.gethostname(),
        address=told("ADDRESS"),
        region=told("REGION") or next((env[n] for n in _REGIONS if env.get(n)), None),
        deployment=told("DEPLOYMENT") or ("cloud" if in_cluster else "local"),
    )
