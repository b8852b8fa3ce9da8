"""What a runner may advertise beyond the v2 frames. Nothing of a feature is sent without it."""

EVENTS = "events"
"""Sessions held are listed at registration; session events carry `seq`, are acknowledged
cumulatively and replayed; an `ended` event, and nothing else, frees the slot."""

DRAIN = "drain"
"""Obeys `drain` and `serve` with a `drain_epoch`, and answers with a barrier report."""

VERBS = "verbs"
"""Takes `verb` frames and answers each with a `verb.result`."""

QUEUED = "queued"
"""Wants to hear how many starts wait for the pool."""

RESUME = "resume"
"""The bridge numbers its frames, resumes with the same token, and hears why a call ended."""

CONTROLS = "controls"
"""The bridge has verbs of its own for interrupt, filler and recording."""

ALL = (EVENTS, DRAIN, VERBS, QUEUED, RESUME, CONTROLS)
