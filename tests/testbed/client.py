"""The few requests the testbed itself makes of a cluster."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from testbed import kubeconfig

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What the API server said. `body` is parsed JSON, or the text if it is none."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else str(self.body)


class Refused(Exception):
    """The API server did not do what it was asked. `answer` is what it said."""

    def __init__(self, request: str, answer: Answer) -> None:
        super().__init__(f"{request}: {answer.status} {answer.message[:500]}")
        self.answer = answer


class ApiClient:
    """Speaks to one cluster. A connection per request: it is used where servers come and go."""

    def __init__(self, path: Path) -> None:
        self.kubeconfig = path
        self._access = kubeconfig.read(path)

    @property
    def server(self) -> str:
        return self._access.server

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        timeout_s: float = _TIMEOUT_S,
    ) -> Answer:
        """One request. Raises OSError if the server cannot be reached."""
        url = urlsplit(self._access.server)
        connection: http.client.HTTPConnection
        if self._access.tls is not None:
            connection = http.client.HTTPSConnection(
                url.netloc, timeout=timeout_s, context=self._access.tls
            )
        else:
            connection = http.client.HTTPConnection(url.netloc, timeout=timeout_s)
        headers = {"Accept": "application/json", "Content-Type": content_type}
        if self._access.token:
            headers["Authorization"] = f"Bearer {self._access.token}"
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, url.path.rstrip("/") + path, payload, headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        try:
            return Answer(response.status, json.loads(text))
        except ValueError:
            return Answer(response.status, text)

    def must(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """The body of the answer. Raises Refused if it is not 2xx."""
        answer = self.ask(method, path, body, **options)
        if not answer.ok:
            raise Refused(f"{method} {path}", answer)
        return answer.body

    def get(self, path: str) -> Any:
        return self.must("GET", path)

    def create(self, path: str, body: object) -> Any:
        return self.must("POST", path, body)

    def apply(self, path: str, body: object) -> Any:
        """Server-side apply, taking over what others own."""
        query = "?fieldManager=paddock-testbed&force=true"
        return self.must("PATCH", path + query, body, content_type="application/apply-patch+yaml")

    def merge(self, path: str, body: object) -> Any:
        return self.must("PATCH", path, body, content_type="application/merge-patch+json")

    def delete(self, path: str, body: object = None) -> Answer:
        """Gone, or going, or it never was."""
        answer = self.ask("DELETE", path, body)
        if not answer.ok and answer.status != 404:
            raise Refused(f"DELETE {path}", answer)
        return answer

    def is_ready(self) -> bool:
        """Whether `/readyz` says so."""
        try:
            return self.ask("GET", "/readyz", timeout_s=5).ok
        except OSError:
            return False
