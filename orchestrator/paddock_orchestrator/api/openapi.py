"""OpenAPI entries for what is served without FastAPI."""

from typing import Any

from fastapi import FastAPI

_ERROR = {
    "type": "object",
    "required": ["status", "code", "error", "message", "reason"],
    "properties": {
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "error": {"type": "string"},
        "message": {"type": "string"},
        "reason": {"type": "string"},
    },
}


def errors(texts: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """What an endpoint answers besides, in the one shape of all errors."""
    content = {"application/json": {"schema": _ERROR}}
    return {
        str(status): {"description": text, "content": content} for status, text in texts.items()
    }


_MANAGEMENT_ERRORS = errors(
    {
        400: "The request is not what the protocol allows",
        401: "Bad key",
        403: "The key may not do this",
        404: "Unknown, or another organization's",
        422: "The request does not fit",
        503: "No record can be read or written now",
    }
)

_START = {
    "tags": ["starting"],
    "summary": "Start a session",
    "description": (
        "Answered once a runner has the session and its record is durable. "
        "The `body` reaches the agent unchanged."
    ),
    "operationId": "start_session",
    "security": [{"key": []}],
    "parameters": [
        {"name": "agent", "in": "path", "required": True, "schema": {"type": "string"}},
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "A retry with the same key and body gets the same session",
        },
    ],
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "body": {"description": "Handed to the agent as it is"},
                        "call": {
                            "type": "object",
                            "properties": {
                                "direction": {"enum": ["inbound", "outbound"]},
                                "user_number": {"type": "string"},
                                "instructions": {"type": "string"},
                            },
                        },
                    },
                }
            }
        }
    },
    "responses": {
        "200": {
            "description": "A runner has the session",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["sessionId", "agent", "token", "textUrl"],
                        "properties": {
                            "sessionId": {"type": "string", "format": "uuid"},
                            "agent": {"type": "string"},
                            "token": {"type": "string"},
                            "textUrl": {"type": "string"},
                        },
                    }
                }
            },
        },
        **errors(
            {
                400: "The body does not fit",
                401: "Bad key",
                403: "The key may not do this",
                404: "Unknown or deleted agent",
                409: "Ended before a runner took it",
                413: "Body too large",
                422: "Idempotency key used with another body",
                429: "At capacity, queue full or rate limited",
                503: "No runners, recovering, draining, or no record can be written",
                504: "No runner took it; `attempts` says why",
            }
        ),
    },
}


def add_hot_paths(app: FastAPI) -> None:
    """Put the raw-ASGI endpoints, the bearer scheme and the errors into the OpenAPI."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        for path, operations in schema["paths"].items():
            if path.startswith("/v1/"):
                for operation in operations.values():
                    operation["responses"].update(_MANAGEMENT_ERRORS)
                    operation["security"] = [{"key": []}]
        schema["paths"].setdefault("/v1/public/{agent}/start", {"post": _START})
        components = schema.setdefault("components", {})
        components.setdefault("securitySchemes", {})["key"] = {"type": "http", "scheme": "bearer"}
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
