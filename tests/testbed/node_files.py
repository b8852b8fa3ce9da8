"""The configuration files of a real node."""

import json
from pathlib import Path
from typing import Any

import yaml

from testbed.network import BRIDGE, Network
from testbed.pods import PAUSE_IMAGE

CNI_BINARIES = "/usr/lib/cni"


def socket_of(folder: Path) -> Path:
    """The runtime's, in the folder of a node. The path of a socket has 107 characters at most."""
    return folder / "c.sock"


def write_runtime(folder: Path, network: Network) -> Path:
    """containerd's, with a network for the pods; the path of the file. `folder` is the node's."""
    cni = folder / "cni"
    cni.mkdir()
    (cni / "paddock.conflist").write_text(json.dumps(_bridge(folder, network)))
    path = folder / "containerd.toml"
    path.write_text(_CONTAINERD.format(n=folder, pause=PAUSE_IMAGE, cni=CNI_BINARIES))
    return path


# An unprivileged root cannot make a process harder to kill for want of memory than itself:
# without restrict_oom_score_adj every pod fails, and nothing says why.
_CONTAINERD = """\
version = 2
root = "{n}/containerd"
state = "{n}/run"
[grpc]
  address = "{n}/c.sock"
[ttrpc]
  address = "{n}/c.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{n}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "runc"
        Root = "{n}/runc"
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{n}/cni"
"""


def _bridge(folder: Path, network: Network) -> dict[str, Any]:
    addresses = {"subnet": network.pods, "rangeStart": network.first_pod}
    return {
        "cniVersion": "0.4.0",
        "name": network.namespace,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(folder / "addresses"),
                    "ranges": [[addresses]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def write_kubelet(folder: Path, network: Network, pki: Path) -> Path:
    """The kubelet's; the path of the file."""
    (folder / "resolv.conf").write_text(f"nameserver {network.node}\n")
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": network.node,
        "port": 10250,
        "readOnlyPort": 0,
        "tlsCertFile": str(pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{socket_of(folder)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{network.namespace}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": ["pods"],
        "makeIPTablesUtilChains": False,
        "resolvConf": str(folder / "resolv.conf"),
        "clusterDNS": [network.node],
        "clusterDomain": "cluster.local",
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "oomScoreAdj": 0,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
    }
    return _write(folder / "kubelet.yaml", config)


def write_proxy(folder: Path, kubeconfig: Path) -> Path:
    """kube-proxy's; the path of the file."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "iptables",
        "bindAddress": "127.0.0.1",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "detectLocalMode": "BridgeInterface",
        "detectLocal": {"bridgeInterface": BRIDGE},
        # Pods share a bridge with whom they call: the answer must come back the same way.
        "iptables": {"masqueradeAll": True, "minSyncPeriod": "100ms"},
        # What a network namespace may not set.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    return _write(folder / "proxy.yaml", config)


def write_names(folder: Path, network: Network, kubeconfig: Path) -> Path:
    """CoreDNS's; the path of the file."""
    path = folder / "Corefile"
    path.write_text(
        ".:53 {\n"
        f"  bind {network.node}\n"
        f"  ready {network.node}:8181\n"
        "  errors\n"
        "  kubernetes cluster.local in-addr.arpa {\n"
        f"    kubeconfig {kubeconfig}\n"
        "    pods insecure\n"
        "    ttl 2\n"
        "  }\n"
        "}\n"
    )
    return path


def _write(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(config))
    return path
