"""A caller for tests: one start over REST and one text channel, blocking."""

import json
from contextlib import ExitStack, suppress
from typing import Any, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from paddock.client.contexts import Context


class Refused(Exception):
    """The start was refused; `answer` is the response."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.status_code}: {answer.text}")
        self.answer = answer


class Caller:
    """One call. Reconnects its channel by token when told to."""

    def __init__(self, context: Context, agent: str, *, timeout_s: float = 60.0) -> None:
        answer = httpx.post(
            f"{context.url}/v1/public/{agent}/start",
            headers={"Authorization": f"Bearer {context.public_key}"},
            json={"body": {}},
            timeout=timeout_s,
            trust_env=False,
        )
        if answer.status_code != 200:
            raise Refused(answer)
        started = answer.json()
        self.session_id: str = started["sessionId"]
        self._url = f"{started['textUrl']}?token={started['token']}"
        self._sockets = ExitStack()
        self._seq = 0
        self.received = 0
        self.heard: list[dict[str, Any]] = []
        self._socket: ClientConnection = self._connect()

    def _connect(self) -> ClientConnection:
        url = f"{self._url}&received={self.received}"
        return self._sockets.enter_context(connect(url, proxy=None, open_timeout=45))

    def reconnect(self) -> None:
        """Come back after the socket was lost."""
        self._sockets.close()
        self._socket = self._connect()

    def say(self, text: str) -> None:
        self._seq += 1
        self._socket.send(json.dumps({"event": "user.text", "text": text, "seq": self._seq}))

    def ask(self, text: str) -> str:
        """Say something and return the whole reply."""
        self.say(text)
        reply = ""
        while True:
            frame = self.wait_for("agent.text.delta", "agent.text.end")
            if frame["event"] == "agent.text.end":
                return reply
            reply += frame["text"]

    def wait_for(self, *events: str, timeout_s: float = 45.0) -> dict[str, Any]:
        """The next frame of one of these kinds; what comes before it is kept in `heard`."""
        while True:
            frame: dict[str, Any] = json.loads(self._socket.recv(timeout=timeout_s))
            if frame["event"].startswith("agent."):
                if frame["seq"] <= self.received:
                    continue
                self.received = frame["seq"]
                with suppress(ConnectionClosed):  # what came before the close is read all the same
                    self._socket.send(json.dumps({"event": "ack", "seq": self.received}))
            self.heard.append(frame)
            if frame["event"] in events:
                return frame

    def hang_up(self) -> dict[str, Any]:
        """Hang up; the closing frame, with the end reason."""
        self._seq += 1
        self._socket.send(json.dumps({"event": "user.hangup", "seq": self._seq}))
        return self.wait_for("call.ended")

    def close(self) -> None:
        self._sockets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
