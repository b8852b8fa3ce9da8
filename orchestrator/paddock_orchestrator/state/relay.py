"""The middle of a bridge, sans-I/O: what the agent says to the caller, and the caller to the agent.

With a runner that resumes, numbers are end to end: the agent's reach the caller and the caller's
acknowledgement goes back, so this object may vanish in a crash and nothing is lost. A v2 runner
numbers nothing; then the relay numbers for it, and translates what v2 has no word for.
"""

from collections import deque
from dataclasses import dataclass

import msgspec

from paddock.protocol import bridge, features

KEEP_FRAMES = 512
KEEP_BYTES = 256 * 1024
_FRAME_BYTES = 64
"""What a frame takes besides its text."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is kept for one side. Of frames that are larger than all of it, one is."""

    frames: int = KEEP_FRAMES
    bytes: int = KEEP_BYTES

    def is_exceeded(self, frames: int, bytes_: int) -> bool:
        return frames > self.frames or (frames > 1 and bytes_ > self.bytes)


_UserFrame = bridge.UserText | bridge.UserInterrupted


@dataclass(frozen=True, slots=True)
class ToCaller:
    frame: msgspec.Struct


@dataclass(frozen=True, slots=True)
class ToRunner:
    frame: msgspec.Struct


@dataclass(frozen=True, slots=True)
class AgentEnds:
    """The agent ends the call, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallerEnds:
    """The caller hung up."""


@dataclass(frozen=True, slots=True)
class CallerAhead:
    """The caller said more than the agent takes. Nothing more is taken until it comes again."""


Output = ToCaller | ToRunner | AgentEnds | CallerEnds | CallerAhead


class Relay:
    """One session's bridge and text channel. Sockets come and go; this stays for the session.

    Each side has its room here. When the caller's is full, the agent's oldest words go, and the
    agent is told that nobody waits for them. When the agent's is full, the caller's socket is to be
    closed: what was not taken it says again. What is taken follows what was taken before, without a
    gap, so nothing is taken that came behind what was not, though there be room again.
    """

    def __init__(self, for_agent: Room | None = None, for_caller: Room | None = None) -> None:
        self._agents_room = for_agent or Room()
        self._callers_room = for_caller or Room()
        self.features: frozenset[str] = frozenset()
        self.caller_here = False
        self.runner_here = False
        self.caller_came = False
        self.agent_received = 0
        """Highest agent number seen."""
        self.agent_acked = 0
        """Highest agent number that need not come again."""
        self.caller_received = 0
        """Highest caller number the agent is known to have."""
        self._for_caller: deque[tuple[int, msgspec.Struct, int]] = deque()
        self._for_caller_bytes = 0
        self._for_agent: deque[tuple[int, _UserFrame, int]] = deque()
        self._for_agent_bytes = 0
        self._caller_taken = 0
        """Highest caller number taken."""
        self._caller_ahead = False
        self._deltas_open = False

    @property
    def numbered(self) -> bool:
        return features.RESUME in self.features

    @property
    def kept_for_agent(self) -> Room:
        """How much there is that the agent is not known to have."""
        return Room(len(self._for_agent), self._for_agent_bytes)

    def runner_opened(self, hello: bridge.Hello) -> list[Output]:
        """The runner's bridge is there: what the agent has not seen yet."""
        self.runner_here = True
        self.features = frozenset(hello.features)
        if not self.numbered:
            waiting, self._for_agent = self._for_agent, deque()
            self._for_agent_bytes = 0
            return [output for _, frame, _ in waiting for output in self._to_plain_agent(frame)]
        unseen = [kept for kept in self._for_agent if not 0 < kept[0] <= hello.received]
        self.caller_received = max(self.caller_received, hello.received)
        # What has no number cannot be acknowledged, so it is sent once.
        self._for_agent = deque(kept for kept in unseen if kept[0])
        self._for_agent_bytes = sum(size for _, _, size in self._for_agent)
        # A caller may have come back first and told what it heard before we were restarted.
        acked: list[Output] = (
            [ToRunner(bridge.Ack(seq=self.agent_acked))] if self.agent_acked else []
        )
        return [*acked, *(ToRunner(frame) for _, frame, _ in unseen)]

    def runner_closed(self) -> None:
        self.runner_here = False

    def caller_opened(self, received: int) -> list[Output]:
        """The caller's channel is there: acknowledge and send what it has not seen."""
        self.caller_here = self.caller_came = True
        self._caller_ahead = False
        outputs = self._caller_has(received)
        outputs += [ToCaller(frame) for _, frame, _ in self._for_caller]
        return outputs

    def caller_closed(self) -> None:
        self.caller_here = False

    def from_runner(self, frame: bridge.Verb | bridge.Ack, size: int) -> list[Output]:
        """A frame of the agent, and how long it was."""
        if isinstance(frame, bridge.Ack):
            self._agent_has(frame.seq)
            ack = bridge.Ack(seq=self.caller_received)
            return [ToCaller(ack)] if self.caller_here else []
        frame = self._translated(frame)
        if self.numbered and frame.seq:
            if frame.seq <= max(self.agent_received, self.agent_acked):
                return self._ack_agent() if frame.seq <= self.agent_acked else []
            self.agent_received = frame.seq
        else:
            self.agent_received += 1
            frame = msgspec.structs.replace(frame, seq=self.agent_received)
        if isinstance(frame, bridge.AgentEndCall):
            return [*self._ack_agent(), AgentEnds(frame.reason)]
        outputs: list[Output] = self._keep_for_caller(frame, size + _FRAME_BYTES)
        if self.caller_here:
            outputs.append(ToCaller(frame))
        if isinstance(frame, bridge.AgentTransfer) and frame.mode == "cold":
            outputs.append(AgentEnds("transferred"))
        return outputs

    def from_caller(self, frame: bridge.FromCaller, size: int) -> list[Output]:
        """A frame of the caller, and how long it was."""
        if isinstance(frame, bridge.Ack):
            return self._caller_has(frame.seq)
        if isinstance(frame, bridge.UserHangup):
            return [CallerEnds()]
        if self._caller_ahead:
            return []
        if 0 < frame.seq <= max(self._caller_taken, self.caller_received):
            return [ToCaller(bridge.Ack(seq=self.caller_received))]
        if self.runner_here and not self.numbered:
            return self._to_plain_agent(frame)
        if self.runner_here and not frame.seq:
            return [ToRunner(frame)]
        if not self._keep_for_agent(frame, size + _FRAME_BYTES):
            self._caller_ahead = True
            return [CallerAhead()]
        self._caller_taken = max(self._caller_taken, frame.seq)
        return [ToRunner(frame)] if self.runner_here else []

    def _keep_for_agent(self, frame: _UserFrame, size: int) -> bool:
        """False, with nothing kept, when there is no room."""
        kept = self._for_agent
        if self._agents_room.is_exceeded(len(kept) + 1, self._for_agent_bytes + size):
            return False
        kept.append((frame.seq, frame, size))
        self._for_agent_bytes += size
        return True

    def _to_plain_agent(self, frame: _UserFrame) -> list[Output]:
        """A v2 agent acknowledges nothing, and takes a partial transcript for a turn."""
        self.caller_received = max(self.caller_received, frame.seq)
        acked: list[Output] = []
        if frame.seq and self.caller_here:
            acked.append(ToCaller(bridge.Ack(seq=frame.seq)))
        if isinstance(frame, bridge.UserText) and not frame.is_final:
            return acked
        return [ToRunner(msgspec.structs.replace(frame, seq=0)), *acked]

    def _agent_has(self, seq: int) -> None:
        self.caller_received = max(self.caller_received, seq)
        while self._for_agent and self._for_agent[0][0] <= self.caller_received:
            self._for_agent_bytes -= self._for_agent.popleft()[2]

    def _caller_has(self, seq: int) -> list[Output]:
        while self._for_caller and self._for_caller[0][0] <= seq:
            self._for_caller_bytes -= self._for_caller.popleft()[2]
        return self._ack_agent(seq)

    def _ack_agent(self, seq: int | None = None) -> list[Output]:
        """Acknowledge what nobody waits for any more: seen by the caller, or dropped."""
        done = self._for_caller[0][0] - 1 if self._for_caller else self.agent_received
        if seq is not None:
            done = max(done, seq)
        if done <= self.agent_acked:
            return []
        self.agent_acked = done
        return [ToRunner(bridge.Ack(seq=done))] if self.numbered and self.runner_here else []

    def _keep_for_caller(self, frame: bridge.Verb, size: int) -> list[Output]:
        self._for_caller.append((self.agent_received, frame, size))
        self._for_caller_bytes += size
        dropped = False
        room = self._callers_room
        while room.is_exceeded(len(self._for_caller), self._for_caller_bytes):
            self._for_caller_bytes -= self._for_caller.popleft()[2]
            dropped = True
        return self._ack_agent() if dropped else []

    def _translated(self, frame: bridge.Verb) -> bridge.Verb:
        """What a v2 runner means. Its sentinels are controls, its bare turn end an interrupt."""
        if features.CONTROLS in self.features:
            return frame
        seq = frame.seq
        if isinstance(frame, bridge.AgentSay):
            if frame.text.startswith(bridge.FILLER_SENTINEL):
                return bridge.AgentFiller(text=frame.text[len(bridge.FILLER_SENTINEL) :], seq=seq)
            if frame.text.startswith(bridge.PAUSE_SENTINEL):
                reason = frame.text[len(bridge.PAUSE_SENTINEL) :].lstrip(":")
                return bridge.AgentRecording(action="pause", reason=reason, seq=seq)
            if frame.text == bridge.RESUME_SENTINEL:
                return bridge.AgentRecording(action="resume", seq=seq)
        if isinstance(frame, bridge.AgentTextDelta):
            self._deltas_open = True
        elif isinstance(frame, bridge.AgentTextEnd):
            was_open, self._deltas_open = self._deltas_open, False
            if not was_open:
                return bridge.AgentInterrupt(seq=seq)
        return frame
