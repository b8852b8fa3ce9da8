"""Which server and which keys: arguments, then environment, then the context file."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from paddock.client.contexts import Context, ContextFile
from paddock.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8600"


@dataclass(frozen=True, slots=True)
class Server:
    """An orchestrator's address and the keys to it; an empty key is one that is not known."""

    url: str
    key: str = ""
    """What manages."""
    start_key: str = ""
    """What starts sessions: the default public key, else `key`."""


def find_server(api_key: str | None, base_url: str | None, env: Mapping[str, str]) -> Server:
    """A context lends its keys to its own address only. Raises `ConfigurationError`."""
    url = base_url or env.get("PADDOCK_BASE_URL") or env.get("UNPOD_BASE_URL")
    key = api_key or env.get("PADDOCK_API_KEY") or env.get("UNPOD_API_KEY") or ""
    if url and key:
        return Server(http_base(url), key, key)
    context = _context(http_base(url) if url else None, env)
    address = http_base(url or (context.url if context else DEFAULT_URL))
    if key:
        return Server(address, key, key)
    if context is None:
        return Server(address)
    return Server(address, context.private_key, context.public_key or context.private_key)


def _context(url: str | None, env: Mapping[str, str]) -> Context | None:
    file = ContextFile.load(env)
    name = env.get("PADDOCK_CONTEXT") or file.current
    current = file.contexts.get(name)
    if env.get("PADDOCK_CONTEXT") and current is None:
        known = ", ".join(sorted(file.contexts)) or "none"
        raise ConfigurationError(f"PADDOCK_CONTEXT: got {name!r}, expected one of: {known}")
    if url is None or (current is not None and http_base(current.url) == url):
        return current
    return next((c for c in file.contexts.values() if http_base(c.url) == url), None)


def http_base(url: str) -> str:
    """`http(s)://host[:port][/path]` for any of host, host:port, http(s):// and ws(s):// URLs.

    A bare host is reached over TLS, except on this machine. Raises `ConfigurationError`.
    """
    text = url.strip().rstrip("/")
    if "://" not in text:
        local = text.split(":")[0] in ("localhost", "127.0.0.1")
        text = f"{'http' if local else 'https'}://{text}"
    parts = urlsplit(text)
    scheme = {"ws": "http", "wss": "https", "http": "http", "https": "https"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ConfigurationError(f"url: got {url!r}, expected a host or an http(s)/ws(s) URL")
    return urlunsplit((scheme, parts.netloc, parts.path, "", ""))
