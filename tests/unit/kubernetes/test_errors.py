"""Answers of an API server, and the errors they mean."""

import json
from typing import Any

import pytest

from paddock_operator.backends.kubernetes import errors
from paddock_operator.backends.kubernetes.errors import KubeError, error_of


def _answer(reason: str, message: str = "no", **details: Any) -> bytes:
    status = {"kind": "Status", "reason": reason, "message": message, "details": details}
    return json.dumps(status).encode()


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", errors.KubeError),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Gone),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerUnavailable),
        (504, "Timeout", errors.ServerUnavailable),
    ],
)
def test_every_status_has_its_error(status: int, reason: str, kind: type[KubeError]) -> None:
    error = error_of(status, _answer(reason))

    assert type(error) is kind
    assert (error.status, error.reason, error.message) == (status, reason, "no")


def test_a_used_up_quota_is_told_apart_from_a_missing_right() -> None:
    used_up = error_of(403, _answer("Forbidden", 'pods "x" is forbidden: exceeded quota: q'))

    assert type(used_up) is errors.QuotaExceeded


def test_causes_name_the_fields() -> None:
    cause = {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.x"}

    error = error_of(422, _answer("Invalid", causes=[cause]))

    assert error.causes == (errors.Cause("FieldValueRequired", "Required value", "spec.x"),)


def test_a_proxy_s_own_words_are_kept() -> None:
    error = error_of(502, b"<h1>Bad gateway</h1>")

    assert type(error) is errors.ServerUnavailable
    assert str(error) == "502: <h1>Bad gateway</h1>"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b'"x"'])
def test_any_body_gives_an_error(body: bytes) -> None:
    assert error_of(503, body).message


def test_the_wait_is_the_header_s_or_else_the_body_s() -> None:
    body = _answer("TooManyRequests", retryAfterSeconds=7)

    assert error_of(429, body, {"Retry-After": "3"}).retry_after_s == 3
    assert error_of(429, body).retry_after_s == 7
    assert error_of(429, body, {"Retry-After": "Wed, 01 Jan"}).retry_after_s == 7
    assert error_of(429, _answer("x")).retry_after_s is None
