"""What a sink reports about itself, as /status shows it."""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A part of the document; its fields are camelCase there."""


class SinkStatus(Part, frozen=True, kw_only=True):
    """One sink. ``acknowledged`` and ``dropped`` are totals, ``queued`` is now; all count records."""

    name: str
    type: str
    healthy: bool = True
    queued: int = 0
    acknowledged: int = 0
    dropped: int = 0
    error: str = ""
    """Why it is not healthy, and what to do."""
