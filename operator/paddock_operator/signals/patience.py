"""Whether an orchestrator is asked by those who wait for its answer. Sans-I/O.

The passes of all pools share a few workers. Where each waited for an orchestrator that does not
answer, as long as a request may take, a few of its pools would hold up the pools of all the others.
So only the first ones wait: from then on the answer is that nothing was heard, until one comes.
"""

from dataclasses import dataclass

PAUSE_S = 10.0
"""Between requests that may be waited for, when nobody tries beside them."""


@dataclass(slots=True)
class Patience:
    """With one peer. `now` is monotonic seconds.

    Whoever has said `failed` tries again beside those who wait, says how that went, and need not
    ask `may_ask`. While it does, nobody else has to.
    """

    silent: bool = False
    """The newest request that ended was not answered."""
    _again_at: float = 0.0

    def may_ask(self, now: float) -> bool:
        """Whether a request may be made and waited for; one in `PAUSE_S` while it is silent."""
        if not self.silent:
            return True
        if now < self._again_at:
            return False
        self._again_at = now + PAUSE_S
        return True

    def failed(self, now: float) -> None:
        """A request was not answered."""
        self.silent = True
        self._again_at = now + PAUSE_S

    def answered(self) -> bool:
        """A request was answered, if only with a refusal; True when it was silent before."""
        silent, self.silent = self.silent, False
        return silent
