"""`POST /v1/public/{agent}/start`: admission, then the orchestrator.

Admission, cheapest first: key, body size, rate, JSON, idempotency replay, agent, capacity.
"""

import asyncio
import hashlib
import logging
import re
from typing import Literal

import msgspec

from paddock_orchestrator.api.answers import ApiError, answer_error
from paddock_orchestrator.dispatch.refusal import Reason, Refused
from paddock_orchestrator.keyring import Grant, Keyring
from paddock_orchestrator.links.accept import bearer_of
from paddock_orchestrator.listener.http import Exchange
from paddock_orchestrator.orchestrator import Orchestrator, new_session_id, now
from paddock_orchestrator.state.book import AGENT, Instant, Session
from paddock_orchestrator.store.errors import StoreError
from paddock_orchestrator.store.records import Scope

log = logging.getLogger("paddock.starts")

_NUMBER = re.compile(r"\+?[0-9]{2,15}\Z")
_REPLAYED = ((b"idempotent-replayed", b"true"),)


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

_Slot = tuple[str, str, str]
"""Organization, agent and idempotency key."""


class _Asked(msgspec.Struct, eq=False):
    """A start under way, and who waits for its answer: more than one if they share a key."""

    agent: str
    request: StartBody
    exchanges: list[Exchange]
    slot: _Slot | None = None
    digest: bytes | None = None
    session_id: str = ""
    """"" before the orchestrator has it."""


class Start:
    """Takes starts. Each exchange is answered once."""

    def __init__(self, orchestrator: Orchestrator, keyring: Keyring) -> None:
        self._orchestrator = orchestrator
        self._keyring = keyring
        self._asked: dict[_Slot, _Asked] = {}
        """Those with an idempotency key, which a retry joins."""
        self._lookups: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Exchange) -> None:
        try:
            self._take(exchange)
        except ApiError as error:
            self._reject(exchange, error)
        except Exception:
            _broken(exchange)

    def _take(self, exchange: Exchange) -> None:
        agent = exchange.agent
        if AGENT.match(agent) is None:
            raise ApiError(404, "unknown_agent", f"{agent[:80]!r} is not an agent's name")
        grant = self._admitted(exchange, agent)
        if exchange.too_large:
            limit = self._orchestrator.settings.max_body_bytes
            raise ApiError(413, "too_large", f"The request body is larger than {limit} bytes")
        at = now()
        if not grant.bucket.take(at.mono):
            after_s = max(1, round(grant.bucket.due_in(at.mono)))
            raise refusal(Refused(Reason.RATE_LIMITED, after_s))
        raw = exchange.body
        asked = _Asked(agent, _parsed(raw), [exchange])
        key = _idempotency_key(exchange)
        if key is None:
            self._begin(asked, grant.org, at)
        else:
            asked.slot = (grant.org, agent, key)
            asked.digest = hashlib.sha256(agent.encode() + b"\0" + raw).digest()
            self._once(asked, at)

    def _reject(self, exchange: Exchange, error: ApiError) -> None:
        """Refuse a start that has not asked for capacity."""
        self._orchestrator.metrics.rejected(error.reason)
        answer_error(exchange, error)

    def _admitted(self, exchange: Exchange, agent: str) -> Grant:
        grant = self._keyring.find(bearer_of(exchange.headers.get(b"authorization", b"")))
        if grant is None:
            raise ApiError(401, "bad_key", "The key is unknown, revoked or expired")
        if not grant.may(Scope.PUBLIC):
            raise ApiError(403, "wrong_scope", "This key may not start sessions")
        if not grant.reaches(agent):
            raise ApiError(403, "wrong_agent", f"This key may not start {agent!r}")
        if self._orchestrator.stopping:
            raise refusal(Refused(Reason.SHUTTING_DOWN, 2))
        return grant

    def _once(self, asked: _Asked, at: Instant) -> None:
        """Begin, or join what a request with this key has begun."""
        slot = asked.slot
        assert slot is not None
        known = self._asked.get(slot)
        if known is not None:
            if known.digest != asked.digest:
                raise _other_body(slot[2])
            exchange = asked.exchanges[0]
            known.exchanges.append(exchange)
            self._watch(known, exchange)
        elif self._orchestrator.journal.may_be_used(*slot):
            self._asked[slot] = asked
            self._watch(asked, asked.exchanges[0])
            lookup = asyncio.get_running_loop().create_task(self._look_up(asked, slot, at))
            self._lookups.add(lookup)
            lookup.add_done_callback(self._lookups.discard)
        else:
            self._asked[slot] = asked
            try:
                self._begin(asked, slot[0], at)
            except BaseException:
                self._asked.pop(slot, None)
                raise

    async def _look_up(self, asked: _Asked, slot: _Slot, at: Instant) -> None:
        """Replay the session that was started with the key, or begin."""
        try:
            row = await self._orchestrator.journal.used(*slot)
            if row is None and asked.exchanges:
                self._begin(asked, slot[0], at)
                return
            if row is not None and row.body_digest != asked.digest:
                raise _other_body(slot[2])
        except (ApiError, StoreError) as why:
            del self._asked[slot]
            error = why if isinstance(why, ApiError) else refusal(_UNRECORDED)
            for exchange in asked.exchanges:
                self._reject(exchange, error)
            return
        except BaseException:
            self._asked.pop(slot, None)
            for exchange in asked.exchanges:
                _broken(exchange)
            raise
        del self._asked[slot]
        asked.session_id = row.session_id if row is not None else ""
        for exchange in asked.exchanges:
            self._started(asked, exchange, _REPLAYED)

    def _begin(self, asked: _Asked, org: str, at: Instant) -> None:
        orchestrator, request = self._orchestrator, asked.request
        pool = orchestrator.book.find_pool((org, asked.agent))
        if not orchestrator.journal.healthy:
            orchestrator.metrics.rejected(_UNRECORDED.reason)
            pool.counters.refusals += 1
            self._decided(asked, _UNRECORDED)
            return
        body = bytes(request.body)
        session = Session(
            session_id=new_session_id(),
            pool=pool,
            requested=at,
            max_duration_s=pool.declared.max_duration_s,
            call=_NO_CALL if request.call is None else _call_facts(request.call),
            data=b"{}" if body == b"null" else body,
            idempotency_key=asked.slot[2] if asked.slot is not None else None,
            body_digest=asked.digest,
        )
        asked.session_id = session.session_id
        for exchange in asked.exchanges:
            self._watch(asked, exchange)
        orchestrator.start(session, lambda refused: self._decided(asked, refused))

    def _decided(self, asked: _Asked, refused: Refused | None) -> None:
        """The orchestrator's answer, for all who wait for it."""
        if asked.slot is not None:
            del self._asked[asked.slot]
        if refused is not None:
            error = refusal(refused)
            for exchange in asked.exchanges:
                answer_error(exchange, error)
            return
        headers: tuple[tuple[bytes, bytes], ...] = ()
        for exchange in asked.exchanges:
            self._started(asked, exchange, headers)
            headers = _REPLAYED

    def _watch(self, asked: _Asked, exchange: Exchange) -> None:
        """When the last who waits goes away, so does the start."""

        def lost() -> None:
            asked.exchanges.remove(exchange)
            if not asked.exchanges and asked.session_id:
                self._orchestrator.caller_left(asked.session_id)

        exchange.on_lost = lost

    def _started(
        self, asked: _Asked, exchange: Exchange, headers: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        orchestrator, session_id = self._orchestrator, asked.session_id
        asked_by = exchange.headers
        # Where TLS ends before us. Who says it untruly misleads nobody else.
        scheme = asked_by.get(b"x-forwarded-proto", b"").decode("latin-1") or exchange.scheme
        url = orchestrator.socket_url(asked_by.get(b"host", b""), scheme)
        body = (
            f'{{"sessionId":"{session_id}","agent":"{asked.agent}",'
            f'"token":"{orchestrator.tokens.text(session_id)}",'
            f'"textUrl":"{url}/v1/sessions/{session_id}/text"}}'
        )
        exchange.answer(200, body.encode(), headers)
        orchestrator.history.line("session_started", session=session_id, agent=asked.agent)


_UNRECORDED = Refused(Reason.STORE_UNAVAILABLE, 2)


def refusal(refused: Refused) -> ApiError:
    """The answer to a start that got no session."""
    extra = None
    if refused.attempts:
        attempts = [{"runner": a.runner_id, "reason": a.reason} for a in refused.attempts]
        extra = {"attempts": attempts}
    return ApiError(refused.status, refused.reason, refused.message, refused.retry_after_s, extra)


def _broken(exchange: Exchange) -> None:
    """Whatever happened is on the exception at hand."""
    log.exception("start_failed")
    answer_error(exchange, ApiError(500, "internal", "The start failed; this is our fault"))


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


def _idempotency_key(exchange: Exchange) -> str | None:
    value = exchange.headers.get(b"idempotency-key")
    if value is None:
        return None
    if not 1 <= len(value) <= 255 or not value.isascii():
        shown = value[:40].decode("latin-1")
        raise ApiError(
            400, "bad_request",
            f"Idempotency-Key: got {shown!r}, expected 1 to 255 ASCII characters",
        )  # fmt: skip
    return value.decode("ascii")


def _other_body(key: str) -> ApiError:
    return ApiError(
        422, "idempotency_mismatch", f"Idempotency-Key {key!r} was used with another request body"
    )
