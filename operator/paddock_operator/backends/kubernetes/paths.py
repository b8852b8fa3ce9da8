"""What a path of the API is about."""

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


def resource_of(path: str) -> str:
    """The resource and subresource a path leads to, such as `pods` or `pods/status`."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[0] not in ("api", "apis") or not rest:
        return "/" + parts[0]
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        rest = rest[2:]
    return f"{rest[0]}/{rest[2]}" if len(rest) > 2 else rest[0]


def verb_of(method: str) -> str:
    """Kubernetes' word for a method of HTTP."""
    return _VERBS.get(method, method.lower())
