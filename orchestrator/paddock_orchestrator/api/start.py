"""`POST /v1/public/{agent}/start`, as raw ASGI: framework objects would double its cost.

Admission, cheapest first: key, body size, rate, JSON, idempotency replay, agent, capacity.
"""

import asyncio
import contextlib
import hashlib
import logging
import re
from typing import Any, Literal

import msgspec

from paddock_orchestrator.api.answers import ApiError, answer, answer_error
from paddock_orchestrator.dispatch.refusal import Reason, Refused
from paddock_orchestrator.keyring import Grant, Keyring
from paddock_orchestrator.links.accept import bearer
from paddock_orchestrator.links.outbox import Receive, SendMessage
from paddock_orchestrator.orchestrator import Orchestrator, new_session_id, now
from paddock_orchestrator.state.book import Instant, Session
from paddock_orchestrator.store.records import Scope

log = logging.getLogger("paddock.starts")

AGENT = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(@dev)?\Z")
_NUMBER = re.compile(r"\+?[0-9]{2,15}\Z")
WATCH_AFTER_S = 0.05
"""A start that takes longer than a dispatch, this or up to twice this, is watched for its caller
going away."""

DISCARD_TIMES = 16
DISCARD_TIMEOUT_S = 2.0
"""How much of a body that is too large, in limits, is read away before its refusal."""


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    direction: Literal["inbound", "outbound"] = "inbound"
    user_number: str = ""
    instructions: str | None = None


class StartBody(msgspec.Struct, frozen=True, rename="camel"):
    body: msgspec.Raw = msgspec.Raw(b"{}")
    call: Call | None = None
    create_daily_room: bool | None = None


_decode = msgspec.json.Decoder(StartBody).decode
_encode = msgspec.json.Encoder().encode
_NO_CALL = b'{"direction":"inbound"}'


class _Started(msgspec.Struct, frozen=True):
    session_id: str
    replayed: bool = False


class _Pending(msgspec.Struct, eq=False):
    """A start under way, which a retry with the same key joins."""

    digest: bytes
    outcome: asyncio.Future[_Started | Refused]
    callers: int = 1


class _Unanswered(msgspec.Struct, eq=False):
    """A start that may have to be watched for its caller going away."""

    session: Session
    receive: Receive
    pending: _Pending | None


class Start:
    def __init__(self, orchestrator: Orchestrator, keyring: Keyring) -> None:
        self._orchestrator = orchestrator
        self._keyring = keyring
        self._pending: dict[tuple[str, str, str], _Pending] = {}
        self._unanswered: dict[str, _Unanswered] = {}
        """Oldest first; those that are watched are no longer among them."""
        self._looks_soon = False
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def __call__(self, scope: Any, receive: Receive, send: SendMessage, agent: str) -> None:
        try:
            grant = self._admitted(scope, agent)
            raw = await self._read(scope, receive)
            at = now()
            if not grant.bucket.take(at.mono):
                raise _too_often(grant, at)
            request = _parsed(raw)
            key = _idempotency_key(scope)
            if key is None:
                outcome = await self._begin(self._session(grant, agent, request, at), receive)
            else:
                outcome = await self._once(grant, agent, request, raw, key, at, receive)
        except ApiError as error:
            await answer_error(send, error)
            return
        if isinstance(outcome, Refused):
            await answer_error(send, refusal(outcome))
            return
        await self._answer(scope, send, agent, outcome)

    def _admitted(self, scope: Any, agent: str) -> Grant:
        grant = self._keyring.find(bearer(scope))
        if grant is None:
            raise ApiError(401, "bad_key", "The key is unknown, revoked or expired")
        if not grant.may(Scope.PUBLIC):
            raise ApiError(403, "wrong_scope", "This key may not start sessions")
        if not grant.reaches(agent):
            raise ApiError(403, "wrong_agent", f"This key may not start {agent!r}")
        if self._orchestrator.stopping:
            raise refusal(Refused(Reason.SHUTTING_DOWN, 2))
        return grant

    async def _read(self, scope: Any, receive: Receive) -> bytes:
        limit = self._orchestrator.settings.max_body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > limit:
                await _discard(receive, limit)
                raise _too_large(limit)
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > limit:
                raise _too_large(limit)
            return body
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "incomplete", "The request ended before its body did")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                if message.get("more_body"):
                    await _discard(receive, limit)
                raise _too_large(limit)
        return b"".join(parts)

    async def _once(
        self,
        grant: Grant,
        agent: str,
        request: StartBody,
        raw: bytes,
        key: str,
        at: Instant,
        receive: Receive,
    ) -> _Started | Refused:
        """Begin, or what a request with this key has begun."""
        digest = hashlib.sha256(agent.encode() + b"\0" + raw).digest()
        slot = (grant.org, agent, key)
        pending = self._pending.get(slot)
        if pending is not None:
            if pending.digest != digest:
                raise _other_body(key)
            pending.callers += 1
            outcome = await asyncio.shield(pending.outcome)
            if isinstance(outcome, _Started):
                return _Started(outcome.session_id, replayed=True)
            return outcome
        pending = _Pending(digest, asyncio.get_running_loop().create_future())
        self._pending[slot] = pending
        try:
            began: _Started | Refused | None = None
            if self._orchestrator.journal.may_be_used(*slot):
                began = await self._replayed(slot, digest)
            if began is None:
                session = self._session(grant, agent, request, at, key, digest)
                began = await self._begin(session, receive, pending)
            pending.outcome.set_result(began)
        except BaseException as why:
            if not pending.outcome.done():
                failed = why if isinstance(why, Exception) else ConnectionError("start abandoned")
                pending.outcome.set_exception(failed)
                pending.outcome.exception()
            raise
        finally:
            del self._pending[slot]
        return began

    async def _replayed(self, slot: tuple[str, str, str], digest: bytes) -> _Started | None:
        row = await self._orchestrator.journal.used(*slot)
        if row is None:
            return None
        if row.body_digest != digest:
            raise _other_body(slot[2])
        return _Started(row.session_id, replayed=True)

    def _session(
        self,
        grant: Grant,
        agent: str,
        request: StartBody,
        at: Instant,
        key: str | None = None,
        digest: bytes | None = None,
    ) -> Session:
        book = self._orchestrator.book
        pool = book.find_pool((grant.org, agent))
        body = bytes(request.body)
        return Session(
            session_id=new_session_id(),
            pool=pool,
            requested=at,
            max_duration_s=pool.declared.max_duration_s,
            call=_NO_CALL if request.call is None else _call_facts(request.call),
            data=b"{}" if body == b"null" else body,
            idempotency_key=key,
            body_digest=digest,
        )

    async def _begin(
        self, session: Session, receive: Receive, pending: _Pending | None = None
    ) -> _Started | Refused:
        orchestrator = self._orchestrator
        if not orchestrator.journal.healthy:
            session.pool.counters.refusals += 1
            return Refused(Reason.STORE_UNAVAILABLE, 2)
        session_id = session.session_id
        self._unanswered[session_id] = _Unanswered(session, receive, pending)
        if not self._looks_soon:
            self._looks_soon = True
            asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._look)
        try:
            refused = await orchestrator.start(session)
        finally:
            if self._unanswered.pop(session_id, None) is None:
                self._watchers.pop(session_id).cancel()
        return refused if refused is not None else _Started(session_id)

    def _look(self) -> None:
        """Watch what is not answered by now; come again for what is younger."""
        loop = asyncio.get_running_loop()
        self._looks_soon = False
        late_mono = now().mono - WATCH_AFTER_S
        for session_id, one in list(self._unanswered.items()):
            if one.session.requested.mono > late_mono:
                self._looks_soon = True
                loop.call_later(WATCH_AFTER_S, self._look)
                break
            del self._unanswered[session_id]
            self._watchers[session_id] = loop.create_task(self._until_gone(one))

    async def _until_gone(self, one: _Unanswered) -> None:
        while (await one.receive())["type"] != "http.disconnect":
            pass
        if one.pending is None or one.pending.callers == 1:
            self._orchestrator.caller_left(one.session.session_id)

    async def _answer(self, scope: Any, send: SendMessage, agent: str, started: _Started) -> None:
        orchestrator = self._orchestrator
        token = orchestrator.tokens.text(started.session_id)
        body = (
            f'{{"sessionId":"{started.session_id}","agent":"{agent}","token":"{token}",'
            f'"textUrl":"{orchestrator.socket_url(scope)}/v1/sessions/{started.session_id}/text"}}'
        ).encode()
        headers = ((b"idempotent-replayed", b"true"),) if started.replayed else ()
        orchestrator.history.line("session_started", session=started.session_id, agent=agent)
        await answer(send, 200, body, headers)


def refusal(refused: Refused) -> ApiError:
    """The answer to a start that got no session."""
    extra = None
    if refused.attempts:
        attempts = [{"runner": a.runner_id, "reason": a.reason} for a in refused.attempts]
        extra = {"attempts": attempts}
    return ApiError(refused.status, refused.reason, refused.message, refused.retry_after_s, extra)


def _too_often(grant: Grant, at: Instant) -> ApiError:
    after_s = max(1, round(grant.bucket.due_in(at.mono)))
    return refusal(Refused(Reason.RATE_LIMITED, after_s))


def _parsed(raw: bytes) -> StartBody:
    try:
        request = _decode(raw) if raw.strip() else StartBody()
    except msgspec.ValidationError as why:
        raise ApiError(400, "bad_request", f"The request body does not fit: {why}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as why:
        raise ApiError(400, "bad_json", f"The request body is not JSON: {why}") from None
    if request.create_daily_room:
        raise ApiError(
            400, "no_room_provider", "createDailyRoom: true, but no room provider is configured"
        )
    number = request.call.user_number if request.call is not None else ""
    if number and not _NUMBER.match(number):
        raise ApiError(
            400,
            "bad_request",
            f"call.user_number: got {number[:40]!r}, expected E.164 (+15551230000)",
        )
    return request


def _call_facts(call: Call) -> bytes:
    facts: dict[str, object] = {"direction": call.direction}
    if call.user_number:
        facts["user_number"] = call.user_number
    if call.instructions is not None:
        facts["instructions"] = call.instructions
    return _encode(facts)


def _idempotency_key(scope: Any) -> str | None:
    for name, value in scope["headers"]:
        if name == b"idempotency-key":
            if not 1 <= len(value) <= 255 or not value.isascii():
                shown = value[:40].decode("latin-1")
                raise ApiError(
                    400, "bad_request",
                    f"Idempotency-Key: got {shown!r}, expected 1 to 255 ASCII characters",
                )  # fmt: skip
            return str(value.decode("ascii"))
    return None


async def _discard(receive: Receive, limit: int) -> None:
    """Read on, within reason: a client that is still sending would not see the answer."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_TIMEOUT_S):
            while size < DISCARD_TIMES * limit:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "too_large", f"The request body is larger than {limit} bytes")


def _other_body(key: str) -> ApiError:
    return ApiError(
        422, "idempotency_mismatch", f"Idempotency-Key {key!r} was used with another request body"
    )
