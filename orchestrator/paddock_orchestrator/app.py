"""The one ASGI application: hot paths by hand, everything else through FastAPI."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from paddock.exposition import Scrapes
from paddock.protocol import control
from paddock.version import __version__
from paddock_orchestrator.api import events, internal, management
from paddock_orchestrator.api.answers import ApiError, complaint
from paddock_orchestrator.api.openapi import add_hot_paths
from paddock_orchestrator.api.start import Start
from paddock_orchestrator.keyring import Keyring
from paddock_orchestrator.links.accept import bearer
from paddock_orchestrator.links.bridge_socket import BridgeSocket
from paddock_orchestrator.links.outbox import Message, Receive, SendMessage
from paddock_orchestrator.links.runner_socket import RunnerSocket
from paddock_orchestrator.links.text_socket import TextSocket
from paddock_orchestrator.listener.http import REQUEST_S
from paddock_orchestrator.orchestrator import Orchestrator, now
from paddock_orchestrator.store.errors import StoreError
from paddock_orchestrator.store.records import Scope


class App:
    """Routes requests: starts and sockets by hand, the rest to FastAPI."""

    def __init__(self, orchestrator: Orchestrator, keyring: Keyring) -> None:
        self.max_body_bytes = orchestrator.settings.max_body_bytes
        self.request_timeout_s = REQUEST_S
        self._keyring = keyring
        self.start = Start(orchestrator, keyring)
        self._runner = RunnerSocket(orchestrator, keyring)
        self._bridge = BridgeSocket(orchestrator)
        self._text = TextSocket(orchestrator)
        self.management = management_app(orchestrator, keyring)

    async def __call__(self, scope: Any, receive: Receive, send: SendMessage) -> None:
        if scope["type"] == "http":
            grant = self._keyring.find(bearer(scope["headers"]))
            if grant is None or not grant.may(Scope.PRIVATE):
                receive = _without_body(receive)
            await self.management(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send, scope["path"])

    async def _socket(self, scope: Any, receive: Receive, send: SendMessage, path: str) -> None:
        parts = path.strip("/").split("/")
        if path == control.PATH:
            await self._runner(scope, receive, send)
        elif len(parts) == 3 and parts[:2] == ["v1", "bridge"]:
            await self._bridge(scope, receive, send, parts[2])
        elif len(parts) == 4 and parts[:2] == ["v1", "sessions"] and parts[3] == "text":
            await self._text(scope, receive, send, parts[2])
        else:
            await receive()
            await send({"type": "websocket.close", "code": 4004})


def _without_body(receive: Receive) -> Receive:
    """The same without the body: FastAPI reads the whole of it before it looks at the key."""
    empty: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def received() -> Message:
        return empty.pop() if empty else await receive()

    return received


def management_app(orchestrator: Orchestrator, keyring: Keyring) -> FastAPI:
    """Management, events, internals and health."""
    app = FastAPI(
        title="Paddock orchestrator",
        version=__version__,
        description="Start, watch and end the sessions of voice agents.",
        docs_url="/docs",
        redoc_url=None,
    )
    app.state.orchestrator = orchestrator
    app.state.keyring = keyring
    for router in (management.router, events.router, internal.router):
        app.include_router(router)
    app.add_api_route(
        "/v1/public/{agent}/start", _not_a_post, include_in_schema=False,
        methods=["GET", "HEAD", "PUT", "PATCH", "DELETE"],
    )  # fmt: skip
    _add_health(app, orchestrator)
    _add_errors(app)
    add_hot_paths(app)
    return app


def _not_a_post(agent: str) -> None:
    raise ApiError(405, "method_not_allowed", "Starting a session is a POST")


def _add_health(app: FastAPI, orchestrator: Orchestrator) -> None:
    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str | int]:
        """The event loop turns. `at_ms` is this machine's clock, to compare others with."""
        return {"status": "ok", "version": __version__, "at_ms": now().wall_ms}

    @app.get("/readyz", tags=["health"])
    async def readyz() -> Response:
        """Starts can be taken: the store writes and the process is not stopping."""
        health = orchestrator.journal.store.health()
        ready = health.ok and not orchestrator.stopping
        reason = "" if ready else health.failure or "stopping"
        body = {"ready": ready, "reason": reason, "boot": orchestrator.dispatcher.boot}
        return JSONResponse(body, 200 if ready else 503)

    scrapes = Scrapes(lambda: orchestrator.metrics.take(now()))

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Every figure, in Prometheus' text format."""
        try:
            scrape = await scrapes.answer(",".join(request.headers.getlist("accept-encoding")))
        except TimeoutError:
            raise ApiError(503, "busy", "The page is not written in time", 5) from None
        return Response(scrape.body, headers=scrape.headers)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> Response:
        return JSONResponse(error.body(), error.status, headers=error.headers())

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return _answer(ApiError(422, "bad_request", "; ".join(map(complaint, error.errors()))))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        reason = "not_found" if error.status_code == 404 else "bad_request"
        return _answer(ApiError(error.status_code, reason, str(error.detail)))

    @app.exception_handler(StoreError)
    async def store_error(_: Request, error: StoreError) -> Response:
        return _answer(ApiError(503, "store_unavailable", str(error), 2))


def _answer(error: ApiError) -> Response:
    return JSONResponse(error.body(), error.status, headers=error.headers())
