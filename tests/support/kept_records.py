"""Records that a collector emits, kept for a test."""

from collections.abc import Container, Sequence

from market_collector.model.events import Record


class Output:
    """Keeps the records."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def emit(self, records: Sequence[Record], sink: str | None = None) -> None:
        self.records += records

    def full_sinks(self) -> Container[str]:
        return ()
