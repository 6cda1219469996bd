"""Status of a sink, as /status shows it."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A part of the /status document, whose fields are camelCase."""


class SinkStatus(Part, frozen=True, kw_only=True):
    """One sink. All counts are records: ``acknowledged`` and ``dropped`` in total, ``queued`` at present."""

    name: str
    type: str
    healthy: bool = True
    queued: int = 0
    acknowledged: int = 0
    dropped: int = 0
    error: str = ""
    """Why the sink is not healthy, and what to do."""
