"""What a test can ask of a cluster."""

from enum import StrEnum


class Tier(StrEnum):
    """Each tier holds what those before it hold."""

    API = "api"
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler; no node."""

    FAKENODE = "fakenode"
    """And fake nodes: pods become ready and go, with their timing, but nothing runs."""

    REALNODE = "realnode"
    """And a real node: kubelet and containerd run real processes from images."""

    def including(self) -> "tuple[Tier, ...]":
        """This tier and those below it, the lowest first."""
        tiers = tuple(Tier)
        return tiers[: tiers.index(self) + 1]
