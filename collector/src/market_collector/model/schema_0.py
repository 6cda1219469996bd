"""Records as the first release wrote them (schema 0): readers, checkpoints and the operator's documents have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import msgspec
from msgspec.structs import replace

from market_collector.model.events import AnyRecord, Gap, Lost, Repaired
from market_collector.model.streams import DataType, Stream


class StoredGap(msgspec.Struct, frozen=True, tag_field="type", tag="gap"):
    """A gap in the form of schema 0, which stays that of documents (docs/contracts.md)."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    gap_id: str
    stream: str
    first: str | None = msgspec.field(name="from")
    """First missing id, open time in milliseconds, or a book's last sequence."""
    last: str | None = msgspec.field(name="to")
    from_time_ns: int | None
    to_time_ns: int | None
    missing: int | None
    reason: str
    merges: list[str] | None = None
    detail: str | None = None
    """Not in schema 0; its readers ignore it."""

    @classmethod
    def of(cls, gap: Gap) -> Self:
        """Return a gap record in this form."""
        stream = Stream.parse(gap.stream)
        if stream.data_type is DataType.ORDERBOOK:
            first, last = None if gap.after_sequence is None else str(gap.after_sequence), None
        else:
            first, last = (
                None if each is None else stream.format_position(stream.parse_id(each))
                for each in (gap.first_id, gap.last_id)
            )
        return cls(
            gap.exchange, gap.symbol, gap.exchange_time_ns, gap.receive_time_ns, gap.gap_id, gap.stream, first, last,
            gap.from_time_ns, gap.to_time_ns, gap.missing, gap.reason, gap.merges, gap.detail,
        )  # fmt: skip

    def record(self) -> Gap:
        """Return the gap record of schema 1.

        Raises:
            ValueError: the stream or a bound is invalid.
        """
        stream = Stream.parse(self.stream)
        is_book = stream.data_type is DataType.ORDERBOOK
        return Gap(
            self.exchange,
            self.symbol,
            self.exchange_time_ns,
            self.receive_time_ns,
            stream=self.stream,
            reason=self.reason,
            detail=self.detail,
            data_type=stream.data_type,
            interval=stream.interval or None,
            gap_id=self.gap_id,
            first_id=None if is_book else _id(stream, self.first),
            last_id=None if is_book else _id(stream, self.last),
            after_sequence=int(self.first) if is_book and self.first is not None else None,
            from_time_ns=self.from_time_ns,
            to_time_ns=self.to_time_ns,
            missing=self.missing,
            merges=self.merges,
        )


def record_decoder() -> Callable[[bytes], AnyRecord]:
    """Return a reader of stored lines. Gap events of schema 0 become those of schema 1.

    Raises:
        msgspec.DecodeError: the line is no record (by the reader).
    """
    decode = msgspec.json.Decoder(AnyRecord).decode

    def read(line: bytes) -> AnyRecord:
        record = decode(line)
        return _upgraded(record, line) if isinstance(record, Gap | Repaired | Lost) else record

    return read


def _upgraded(record: Gap | Repaired | Lost, line: bytes) -> Gap | Repaired | Lost:
    if record.data_type is not None:
        return record
    try:
        if isinstance(record, Gap):
            return msgspec.json.decode(line, type=StoredGap).record()
        stream = Stream.parse(record.stream)
        record = replace(record, data_type=str(stream.data_type), interval=stream.interval or None)
        if isinstance(record, Lost) and record.ranges is not None:
            ranges = [(_id(stream, first), _id(stream, last)) for first, last in record.ranges]
            record = replace(record, ranges=ranges)
    except (ValueError, KeyError):  # no stream of this version
        pass
    return record


def _id(stream: Stream, position: str | None) -> str | None:
    return None if position is None else stream.format_id(stream.parse_position(position))
