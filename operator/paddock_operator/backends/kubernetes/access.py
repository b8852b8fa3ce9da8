"""How a cluster is reached: from inside by the pod's service account, from outside by a file."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from paddock_operator.backends.kubernetes.errors import NoAccess

Access = Callable[[], Awaitable[Configuration]]
"""Reads the configuration afresh, with a credential that is good now. Raises NoAccess."""


def access(kubeconfig: Path | None = None, context: str | None = None) -> Access:
    """The file that is named; else the pod's service account; else `KUBECONFIG`, `~/.kube/config`.

    Login commands of a kubeconfig are run. A service account's token is read again every minute.
    """

    async def read() -> Configuration:
        configuration = Configuration()
        # Certificates are verified as always, but without the demands on their form that Python
        # 3.13 added: the authorities of many clusters are older than those.
        configuration.disable_strict_ssl_verification = True
        configuration.connection_pool_maxsize = 0  # watches hold a connection each
        try:
            if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
                load_incluster_config(configuration)
            else:
                files = _named(kubeconfig) if kubeconfig else _default_files()
                await load_kube_config(files, context, configuration, persist_config=False)
        except (ConfigException, OSError, yaml.YAMLError, TypeError, ValueError) as why:
            raise NoAccess(f"no way to a cluster: {why}") from why
        return configuration

    return read


def _named(kubeconfig: Path) -> str:
    if not kubeconfig.is_file():
        raise NoAccess(f"no way to a cluster: there is no kubeconfig at {kubeconfig}")
    return str(kubeconfig)


def _default_files() -> str:
    files = os.environ.get("KUBECONFIG") or "~/.kube/config"
    if not any(Path(each).expanduser().exists() for each in files.split(os.pathsep)):
        raise NoAccess(
            "no way to a cluster: this is no pod (KUBERNETES_SERVICE_HOST is not set), and there "
            f"is no kubeconfig at {files}; name one"
        )
    return files
