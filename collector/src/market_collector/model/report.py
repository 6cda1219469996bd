"""Status of a sink, as /status shows it."""

from __future__ import annotations

import msgspec

from market_spec.messages import escaped_lines


class Part(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A part of the /status document, whose fields are camelCase. Strings, which may quote an exchange, are escaped."""

    def __post_init__(self) -> None:
        """Escape the strings: a reader shows them in a terminal, and JSON has no form for lone surrogates."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is str and not value.isprintable():
                msgspec.structs.force_setattr(self, name, escaped_lines(value))


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
