"""Which server and which keys: arguments, then environment, then the context file."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from paddock.client.contexts import Context, ContextFile
from paddock.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8600"
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_KEY = re.compile(r"[!-~]+")


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
    url_from, url = first_given(("url", base_url), *from_environment(env, "BASE_URL"))
    key_from, key = first_given(("api_key", api_key), *from_environment(env, "API_KEY"))
    key = checked_key(key, key_from)
    if url and key:
        return Server(http_base(url, url_from), key, key)
    context = _context(http_base(url, url_from) if url else None, env)
    address = http_base(url, url_from) if url else _url_of(context) if context else DEFAULT_URL
    if key:
        return Server(address, key, key)
    if context is None:
        return Server(address)
    private = checked_key(context.private_key, f"context {context.name!r}, private_key")
    public = checked_key(context.public_key, f"context {context.name!r}, public_key")
    return Server(address, private, public or private)


def first_given(*given: tuple[str, str | None]) -> tuple[str, str]:
    """Of names with values the first that has one; ("", "") when none has."""
    return next(((name, value) for name, value in given if value), ("", ""))


def from_environment(env: Mapping[str, str], name: str) -> Iterator[tuple[str, str | None]]:
    """`PADDOCK_` before its twin `UNPOD_`."""
    return ((each, env.get(each)) for each in (f"PADDOCK_{name}", f"UNPOD_{name}"))


def _context(url: str | None, env: Mapping[str, str]) -> Context | None:
    file = ContextFile.load(env)
    name = env.get("PADDOCK_CONTEXT") or file.current
    current = file.contexts.get(name)
    if env.get("PADDOCK_CONTEXT") and current is None:
        known = ", ".join(sorted(file.contexts)) or "none"
        raise ConfigurationError(f"PADDOCK_CONTEXT: got {name!r}, expected one of: {known}")
    if url is None or (current is not None and _url_of(current) == url):
        return current
    return next((c for c in file.contexts.values() if _url_of(c) == url), None)


def _url_of(context: Context) -> str:
    return http_base(context.url, f"context {context.name!r}, url")


def http_base(url: str, source: str = "url") -> str:
    """`http(s)://host[:port][/path]` for any of host, host:port, http(s):// and ws(s):// URLs.

    A bare host is reached over TLS, except on this machine. Raises `ConfigurationError`, which
    says that it came from `source`.
    """
    text = url.strip()
    if "://" not in text:
        local = text.split(":")[0] in ("localhost", "127.0.0.1")
        text = f"{'http' if local else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_address(url, source) from None
    scheme = {"ws": "http", "wss": "https", "http": "http", "https": "https"}.get(parts.scheme)
    odd = "@" in parts.netloc or any(c.isspace() or not c.isprintable() for c in text)
    if scheme is None or odd or port == 0 or not _is_host(parts):
        raise _no_address(url, source)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _no_address(url: str, source: str) -> ConfigurationError:
    """A user's part, which may have a password in it, is not shown."""
    _, at, rest = url.rpartition("@")
    shown = f"…@{rest}" if at else url
    return ConfigurationError(
        f"{source}: got {shown!r}, expected a host, host:port (1 to 65535) or an http(s)/ws(s) URL "
        "without a user, such as https://paddock.example.com or 127.0.0.1:8600"
    )


def _is_host(parts: SplitResult) -> bool:
    """Whether it can be looked up at all: else that raises errors of many kinds."""
    host = (parts.hostname or "").removesuffix(".")
    labels = host.split(".")
    if "[" in parts.netloc:
        return _is_ip(host.partition("%")[0])
    if labels[-1].isdecimal():
        return _is_ip(host)
    if not host.isascii() or any(label.startswith("xn--") for label in labels):
        return _is_international(host)
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_international(host: str) -> bool:
    import httpx  # knows the rules of such names, and takes long to load

    try:
        return bool(httpx.URL(f"https://{host}").host)
    except (httpx.InvalidURL, UnicodeError):
        return False


def checked_key(key: str, source: str) -> str:
    """The key, without the end of the line that a file or a copy leaves behind it.

    Raises `ConfigurationError` for what no header can carry. It names `source`, never the key.
    """
    text = key.rstrip("\r\n")
    if text and not _KEY.fullmatch(text):
        raise ConfigurationError(
            f"{source}: no key has a space, a line's end or a character beyond ASCII in it. "
            "Expected one word that begins with rk_, sk_ or pk_, as it was shown when it was made"
        )
    return text
