"""The OrchestratorConnection: where a namespace's orchestrator is, and which keys open it.

Who may write one makes the operator and the runners send their keys to an address, so plain HTTP
is for services of the cluster. Private and loopback addresses need `allowInsecure`; public and
link-local ones, where clouds keep their credentials, are never reached without TLS.
"""

from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field

from paddock_operator.model.base import NAME_PATTERN, Part, matches
from paddock_operator.model.manifest import Metadata
from paddock_operator.model.rule import Rule

_END = "(:[0-9]{1,5})?(/[-._~%A-Za-z0-9/]*)?$"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PRIVATE = (
    f"localhost|127([.]{_OCTET}){{3}}|10([.]{_OCTET}){{3}}|192[.]168([.]{_OCTET}){{2}}"
    f"|172[.](1[6-9]|2[0-9]|3[01])([.]{_OCTET}){{2}}|\\[::1\\]|\\[f[cd][0-9a-f]{{2}}:[0-9a-f:]+\\]"
)

URL_PATTERN: Final = (
    f"^https?://([A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\]){_END}"
)
"""No user, query or fragment: the key is in the secret and the paths are the orchestrator's."""
SERVICE_PATTERN: Final = (
    f"^http://[a-z]([-a-z0-9]*[a-z0-9])?(([.][-a-z0-9]+)*[.]svc([.]cluster[.]local)?)?{_END}"
)
"""A service: one label, or a name below `svc`. No digit leads, for `2130706433` is an address."""
PRIVATE_PATTERN: Final = f"^http://({_PRIVATE}){_END}"
_ANY_PORT = ":[0-9]+(/|$)"
PORT_PATTERN: Final = (
    ":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(/|$)"
)
"""1 to 65535; of an address that has a port at all."""
_GROUP = "[0-9A-Fa-f]{1,4}"
BRACKETED_PATTERN: Final = (
    r"^https?://\["
    f"(({_GROUP}:){{7}}{_GROUP}|({_GROUP}:){{1,7}}:|:((:{_GROUP}){{1,7}}|:)"
    + "".join(f"|({_GROUP}:){{1,{7 - n}}}(:{_GROUP}){{1,{n}}}" for n in range(1, 7))
    + r")\]"
)
"""What stands between brackets is an IPv6 address. One that ends in an IPv4 address can be written
in hexadecimal, too: this is long enough for an API server's budget of rules."""
_LOCALHOST = "^http://localhost([:/]|$)"

SECRET_PATTERN = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
BASE64_PATTERN = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class SecretRef(Part):
    """The secret with the orchestrator's keys, in the connection's namespace."""

    name: str = Field(
        pattern=SECRET_PATTERN,
        max_length=253,
        description="Name of the secret. Its key `apiKey` is the private key (sk_) that the "
        "operator uses, its key `runnerKey` the runner key (rk_) that pods get.",
    )


class ConnectionSpec(Part):
    """Address and keys."""

    url: str = Field(
        max_length=2048,
        description="Address of the orchestrator. It must be https, but for services of the "
        "cluster: one label (a service of this namespace), NAME.svc or NAME.svc.cluster.local.",
        json_schema_extra={"pattern": URL_PATTERN},
    )
    secret_ref: SecretRef = Field(description="The secret with the keys, in the same namespace.")
    ca_bundle: str | None = Field(
        default=None,
        pattern=BASE64_PATTERN,
        min_length=4,
        max_length=262_144,
        description="Certificates to trust instead of the system's: PEM, in base64.",
    )
    allow_insecure: bool = Field(
        default=False,
        description="true: http is allowed to loopback and private addresses, too. Whoever can "
        "listen in on that network gets the keys.",
    )


class OrchestratorConnection(Part):
    """Where the orchestrator of a namespace's pools is, and which keys open it."""

    api_version: Literal["paddock.dev/v1alpha1"] = Field(description="Version of this schema.")
    kind: Literal["OrchestratorConnection"] = Field(description="Kind of the object.")
    metadata: Metadata = Field(description="Name, labels and annotations.")
    spec: ConnectionSpec = Field(description="Address and keys.")
    status: dict[str, object] | None = Field(
        default=None, description="Written by the operator; ignored when read."
    )

    def url_from(self, namespace: str) -> str:
        """The address, good from any namespace: a lone label is a service of `namespace`, where
        this object is. Without a slash at the end."""
        parts = urlsplit(self.spec.url.rstrip("/"))
        host = parts.hostname or ""
        if parts.scheme == "http" and "." not in host and ":" not in host and host != "localhost":
            port = f":{parts.port}" if parts.port is not None else ""
            parts = parts._replace(netloc=f"{host}.{namespace}.svc{port}")
        return urlunsplit(parts)


def _is_secure(connection: OrchestratorConnection) -> bool:
    url = connection.spec.url
    return (
        url.startswith("https://")
        or (matches(SERVICE_PATTERN, url) and not matches(_LOCALHOST, url))
        or (connection.spec.allow_insecure and matches(PRIVATE_PATTERN, url))
    )


CONNECTION_RULES: tuple[Rule[OrchestratorConnection], ...] = (
    Rule(
        "name-pattern",
        "metadata.name",
        "the name must be at most 63 lower-case letters, digits and inner hyphens, or no "
        "connectionRef can say it",
        lambda connection: (
            len(connection.metadata.name) <= 63 and matches(NAME_PATTERN, connection.metadata.name)
        ),
        "rename it, for example default",
        cel=f"size(self.metadata.name) <= 63 && self.metadata.name.matches(r'{NAME_PATTERN}')",
    ),
    Rule(
        "url-form",
        "spec.url",
        "the url must be http(s)://host[:port][/path], without user, query and fragment",
        lambda connection: matches(URL_PATTERN, connection.spec.url),
        "write it like https://paddock.example",
        cel=f"self.spec.url.matches(r'{URL_PATTERN}')",
    ),
    Rule(
        "url-port",
        "spec.url",
        "the port must be from 1 to 65535, without a leading zero",
        lambda connection: (
            not matches(_ANY_PORT, connection.spec.url)
            or matches(PORT_PATTERN, connection.spec.url)
        ),
        "write the port that the orchestrator listens at, or leave it out",
        cel=f"!self.spec.url.matches(r'{_ANY_PORT}') || self.spec.url.matches(r'{PORT_PATTERN}')",
    ),
    Rule(
        "url-brackets",
        "spec.url",
        "what stands between brackets must be an IPv6 address, all of it in hexadecimal",
        lambda connection: (
            "[" not in connection.spec.url or matches(BRACKETED_PATTERN, connection.spec.url)
        ),
        "write it like https://[2001:db8::1]; names and IPv4 addresses stand without brackets",
        cel=f"!self.spec.url.contains('[') || self.spec.url.matches(r'{BRACKETED_PATTERN}')",
    ),
    Rule(
        "url-secure",
        "spec.url",
        "the url must be https; http is for services of the cluster and, with allowInsecure, for "
        "loopback and private addresses",
        _is_secure,
        "use https, or the name of a service",
        ("spec.allowInsecure",),
        "self.spec.url.startsWith('https://') || "
        f"(self.spec.url.matches(r'{SERVICE_PATTERN}') && !self.spec.url.matches(r'{_LOCALHOST}')) "
        f"|| (self.spec.allowInsecure && self.spec.url.matches(r'{PRIVATE_PATTERN}'))",
    ),
    Rule(
        "ca-needs-https",
        "spec.caBundle",
        "caBundle is of no use without https",
        lambda connection: (
            connection.spec.ca_bundle is None or connection.spec.url.startswith("https://")
        ),
        "leave it out, or use https",
        ("spec.url",),
        "!has(self.spec.caBundle) || self.spec.url.startsWith('https://')",
    ),
)
