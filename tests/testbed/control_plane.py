"""The processes that make a Kubernetes API: etcd, apiserver, controllers, scheduler."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import crds, kubeconfig
from testbed.client import ApiClient
from testbed.pki import make_certificates
from testbed.ports import free_ports
from testbed.processes import Component
from testbed.waiting import wait_until

_QPS = ("--kube-api-qps=200", "--kube-api-burst=400")
_PATIENCE_S = 60.0
"""How long a machine that is busy with other things may take for what is done in two seconds."""
_STOP_S = 2.0
"""The apiserver would wait a minute for its watchers to leave; all it knows is in etcd."""

NODE_NAME = "node-0"
USERS: Mapping[str, tuple[str, str]] = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "node": (f"system:node:{NODE_NAME}", "system:nodes"),
}
"""Who may come in, and with which group. Each has `<name>.kubeconfig` in the cluster's folder."""


@dataclass(frozen=True)
class Where:
    """The network a control plane listens on."""

    address: str = "127.0.0.1"
    services: str = "10.96.0.0/16"
    first_service: str = "10.96.0.1"
    inside: Sequence[str] = ()
    """How to execute a command in it."""
    for_nodes: bool = False
    """Whether nodes will come: their kubelets are called, and they find the API by its Service."""


class ControlPlane:
    """A control plane in a folder. Invariant: ports and data stay the same from start to stop."""

    def __init__(
        self,
        folder: Path,
        tools: Mapping[str, Path],
        where: Where,
        *,
        detached: bool = False,
        apiserver_flags: Sequence[str] = (),
        controller_flags: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.where = where
        self._tools = tools
        self._detached = detached
        self._was_away = False
        """Whether the apiserver was stopped since the others were started."""
        self._etcd_port, peer, self._api_port, controllers, scheduler = free_ports(5)
        self.etcd = self._component("etcd", self._etcd(peer))
        self.apiserver = self._component(
            "kube-apiserver", [*self._apiserver(), *apiserver_flags], _STOP_S
        )
        self.controller_manager = self._component(
            "kube-controller-manager", [*self._controllers(controllers), *controller_flags]
        )
        self.scheduler = self._component("kube-scheduler", self._scheduler(scheduler))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def client(self) -> ApiClient:
        return ApiClient(self.kubeconfig)

    def start(self) -> None:
        """Everything ready when this returns. Raises NotReady, with the log that tells why."""
        self._make_access()
        self.etcd.start()
        self.start_apiserver()
        client = self.client
        crds.install(client, crds.read_definitions())
        self.controller_manager.start()
        self.scheduler.start()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        wait_until(
            "kube-controller-manager at work", lambda: client.ask("GET", account).ok,
            within_s=_PATIENCE_S, log=self.controller_manager.log,
            alive=lambda: self.controller_manager.running,
        )  # fmt: skip

    def start_apiserver(self) -> None:
        """Start the apiserver, alone; again on the same port and data after `stop_apiserver`."""
        self.apiserver.start()
        self._await_apiserver()

    def _await_apiserver(self) -> None:
        client = self.client
        wait_until(
            "kube-apiserver ready", client.is_ready, within_s=_PATIENCE_S,
            log=self.apiserver.log, alive=lambda: self.apiserver.running and self.etcd.running,
        )  # fmt: skip

    def stop_apiserver(self) -> None:
        """Nobody answers when this returns; all else runs on."""
        self._was_away = True
        self.apiserver.stop()

    def mend(self) -> bool:
        """Whatever was done to it: everything runs and answers when this returns.

        True if the apiserver was away: who watches it may look again after half a minute only.
        """
        was_away = self._was_away or not self.apiserver.running
        parts = (self.etcd, self.apiserver, self.controller_manager, self.scheduler)
        for component in parts:
            component.thaw()
        if was_away:
            self.controller_manager.stop()
            self.scheduler.stop()
            self._was_away = False
        for component in parts:
            if not component.running:
                component.start()
        self._await_apiserver()
        return was_away

    def stop(self) -> None:
        """In the reverse order of starting."""
        for component in (self.scheduler, self.controller_manager, self.apiserver, self.etcd):
            component.stop()

    def _component(self, name: str, argv: Sequence[str], stop_s: float = 10.0) -> Component:
        command = [str(self._tools[name]), *argv]
        return Component(
            self.folder, name, command, self._detached, self.where.inside, stop_s=stop_s
        )

    def _make_access(self) -> None:
        addresses = dict.fromkeys(["127.0.0.1", self.where.first_service, self.where.address])
        nodes = [self.where.address] if self.where.for_nodes else []
        pki = self.folder / "pki"
        make_certificates(pki, apiserver_addresses=[*addresses], kubelet_addresses=nodes)
        server = f"https://{self.where.address}:{self._api_port}"
        rows = []
        for name, (user, group) in USERS.items():
            token = secrets.token_urlsafe(24)
            rows.append(f'{token},{user},{name},"{group}"' if group else f"{token},{user},{name}")
            path = self.folder / f"{name}.kubeconfig"
            kubeconfig.write(path, server=server, ca=pki / "ca.crt", token=token)
        tokens = pki / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(rows) + "\n")

    def _etcd(self, peer_port: int) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{peer_port}"
        return [
            "--data-dir", str(self.folder / "etcd"), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--unsafe-no-fsync", "--log-level=warn",
        ]  # fmt: skip

    def _apiserver(self) -> list[str]:
        pki = self.folder / "pki"
        flags = [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--secure-port={self._api_port}",
            f"--advertise-address={self.where.address}",
            f"--bind-address={'0.0.0.0' if self.where.for_nodes else self.where.address}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--token-auth-file={pki}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--service-cluster-ip-range={self.where.services}",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
        ]
        # An endpoint on the loopback is refused, and would lead nowhere.
        return flags if self.where.for_nodes else [*flags, "--endpoint-reconciler-type=none"]

    def _controllers(self, port: int) -> list[str]:
        return [
            f"--kubeconfig={self.folder}/controller-manager.kubeconfig",
            "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={self.folder}/controller-manager", "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.folder}/pki/sa.key",
            f"--root-ca-file={self.folder}/pki/ca.crt", *_QPS,
        ]  # fmt: skip

    def _scheduler(self, port: int) -> list[str]:
        return [
            f"--kubeconfig={self.folder}/scheduler.kubeconfig", "--bind-address=127.0.0.1",
            f"--secure-port={port}", f"--cert-dir={self.folder}/scheduler",
            "--leader-elect=false", *_QPS,
        ]  # fmt: skip
