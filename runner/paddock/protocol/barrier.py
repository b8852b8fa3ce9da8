"""The runner's end of the drain protocol: may a session be taken, what is held.

Three rules, each used by the argument why an empty runner may be removed (see
`paddock_operator.plan.drain`):

* R1, book first: a job is booked in the same call that checks the mode, before any answer is sent.
  There is no await in between, so a drain either sees the booking or comes before it.
* R2, monotone: a command is obeyed only if its epoch is larger than every epoch obeyed before.
  A late or repeated command of an earlier drain changes nothing.
* R3, honest report: a report is read from the same state in one call, and counts what is booked,
  dialling and live alike.

A container that restarts in place must have stored `(drain_epoch, mode)` before it answered (see
`RunnerLink.remembered`), and begins with `restore`; its sessions died with the process, the barrier
must not.
"""

from dataclasses import dataclass

from paddock.protocol.words import Mode, Refusal


@dataclass(frozen=True, slots=True)
class Report:
    """The runner's own word: in `mode` since `drain_epoch`, and `booked` jobs held right now."""

    drain_epoch: int
    mode: Mode
    booked: int


class Barrier:
    """What the runner was told last, and the jobs it answers for.

    Not thread-safe: one event loop owns it, which is what orders accepting and draining.
    """

    __slots__ = ("_booked", "_drain_epoch", "_mode")

    def __init__(
        self,
        drain_epoch: int = 0,
        mode: Mode = Mode.SERVE,
        booked: frozenset[str] = frozenset(),
    ) -> None:
        self._drain_epoch = drain_epoch
        self._mode = mode
        self._booked = set(booked)

    @property
    def drain_epoch(self) -> int:
        """The epoch of the last command obeyed; 0 when there was none."""
        return self._drain_epoch

    @property
    def mode(self) -> Mode:
        return self._mode

    @property
    def booked(self) -> frozenset[str]:
        """The jobs held: accepted, dialling or live."""
        return frozenset(self._booked)

    def book(self, job_id: str) -> Refusal | None:
        """Check the mode and hold the job, in one step; the reason if it may not be accepted.

        Only after None may "accepted" be answered. The job is held also if that answer is lost, for
        nobody here can tell: a job too many only delays a drain, one too few cuts a call.
        A job that is already held is accepted again, also while draining: its assignment was
        delivered twice. Whether a slot is free is not asked here.
        """
        if job_id in self._booked:
            return None
        if self._mode is not Mode.SERVE:
            return Refusal.DRAINING
        self._booked.add(job_id)
        return None

    def unbook(self, job_id: str) -> None:
        """Let go of a job whose call is over or whose dial failed for good. Idempotent."""
        self._booked.discard(job_id)

    def obey(self, drain_epoch: int, mode: Mode) -> Report | None:
        """Follow a command and answer it; None when there is nothing to answer.

        A larger epoch is obeyed. The present epoch is answered again, because the first answer
        may be lost. An older one is ignored, and so is the present epoch with the other mode:
        every write raises the epoch, so nobody can have written both.
        """
        if drain_epoch > self._drain_epoch:
            self._drain_epoch = drain_epoch
            self._mode = mode
        elif drain_epoch < self._drain_epoch or mode is not self._mode:
            return None
        return self.report()

    def report(self) -> Report:
        """What is true at this instant."""
        return Report(self._drain_epoch, self._mode, len(self._booked))

    def restore(self, drain_epoch: int, mode: Mode) -> None:
        """Begin again where the process before this one stood, before anything is accepted.

        Never steps back: a command obeyed meanwhile wins over the stored one.
        """
        if drain_epoch > self._drain_epoch:
            self._drain_epoch = drain_epoch
            self._mode = mode
