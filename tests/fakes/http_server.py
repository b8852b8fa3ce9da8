"""A tiny real HTTP server that answers what it was told to, and remembers what it was asked."""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Told:
    """One answer. A `bytes` body goes out as it is."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class FakeHttpServer:
    """Answers by `METHOD /path`, in turn; the last answer of a path is repeated."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._told: dict[str, deque[Told]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._handle(self)

            def do_POST(self) -> None:
                server._handle(self)

            def do_PUT(self) -> None:
                server._handle(self)

            def do_DELETE(self) -> None:
                server._handle(self)

            def log_message(self, *_: Any) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> "FakeHttpServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def tell(self, route: str, *answers: Told) -> None:
        """What to answer to `METHOD /path`."""
        self._told[route] = deque(answers)

    def refuse(self, route: str, status: int, reason: str, **headers: str) -> None:
        """Answer with an error of the orchestrator's shape."""
        body = {"status": status, "code": str(status), "message": f"It is {reason}"}
        self.tell(route, Told(status, {**body, "reason": reason}, headers))

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length") or 0)
        raw = request.rfile.read(length)
        headers = {k.lower(): v for k, v in request.headers.items()}
        body = json.loads(raw) if raw else None
        self.asked.append(Asked(request.command, request.path, headers, body))
        answers = self._told.get(f"{request.command} {request.path.partition('?')[0]}")
        if not answers:
            told = Told(404, {"message": "no such path", "reason": "not_found"})
        else:
            told = answers.popleft() if len(answers) > 1 else answers[0]
        content = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
        request.send_response(told.status)
        for name, value in told.headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("content-length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
