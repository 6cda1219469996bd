"""From a file to the settings of one collector: strict, small, and telling all that is wrong at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import msgspec

from market_collector.config.spec import (
    CREDENTIALS_DIRECTORY,
    CandleSpec,
    CollectorDocument,
    EndpointSpec,
    FileSpec,
    OrderbookSpec,
    Resource,
    SinkSpec,
    Spec,
    duration_s,
    size_bytes,
)
from market_collector.config.validation import Capabilities, CapabilitiesByName, faults, path_text
from market_collector.config.yaml_source import Source, read
from market_collector.errors import InputError
from market_collector.model.streams import DataType


class Problem(msgspec.Struct, frozen=True):
    """One thing in a file that the user must mend."""

    file: str
    line: int | None
    """From 1; None where the file has no such line."""
    path: str
    """``spec.dataTypes[1]``; empty for the document as a whole."""
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}: {self.text}" if self.path else f"{where}: {self.text}"


class DocumentError(InputError):
    """A file can be read, but not followed; the message lists every problem, a line each."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class Document(msgspec.Struct, frozen=True):
    """One resource, or one shard of it, that can be followed."""

    file: str
    name: str
    namespace: str
    shard: int
    spec: Spec


class StdoutSinkSettings(msgspec.Struct, frozen=True):
    """Records to standard output."""

    name: str


class FileSinkSettings(msgspec.Struct, frozen=True):
    """Records to files below a directory."""

    name: str
    directory: FilePath
    rotate_bytes: int
    rotate_interval_s: float
    compression: str
    """``none``, ``gzip`` or ``zstd``."""
    fsync_interval_s: float


SinkSettings = StdoutSinkSettings | FileSinkSettings


class Settings(msgspec.Struct, frozen=True):
    """What one collector process is to do; every default is filled in, every duration in seconds."""

    name: str
    namespace: str
    shard: int
    exchange: str
    symbols: tuple[str, ...]
    data_types: tuple[DataType, ...]
    book_depth: int = OrderbookSpec().depth
    candle_intervals: tuple[str, ...] = CandleSpec().intervals
    store_raw_data: bool = False
    auto_restart: bool = True
    stale_after_s: float = 60.0
    ping_interval_s: float = 20.0
    max_reconnect_attempts: int = 0
    """0 = unlimited."""
    secret_name: str = ""
    """Whose keys are the API key, for messages; balances only."""
    credentials_directory: FilePath = FilePath(CREDENTIALS_DIRECTORY)
    """Where its keys are files."""
    backoff_initial_s: float = 1.0
    backoff_max_s: float = 60.0
    endpoint_websocket: str | None = None
    endpoint_rest: str | None = None
    sinks: tuple[SinkSettings, ...] = (StdoutSinkSettings("out"),)
    log_level: str = "info"


def load(path: str) -> list[Document]:
    """The documents of a file (``-``: standard input), each a MarketCollector or the operator's collector document.

    Raises:
        source.UnreadableError: the file as a whole cannot be read.
        DocumentError: it can, but something in it is not allowed; carries every problem.
    """
    sources = read(path)
    offers = _offers()
    problems = tuple(problem for source in sources for problem in sorted(_problems(source, offers), key=_line))
    if problems:
        raise DocumentError(problems)
    return [_document(source) for source in sources]


def read_settings(
    document: Document,
    *,
    endpoint_websocket: str | None = None,
    endpoint_rest: str | None = None,
    credentials_directory: FilePath | None = None,
) -> Settings:
    """A document's settings; addresses from the command line go before its own.

    Raises:
        InputError: an address from the command line is not one.
    """
    spec = document.spec
    endpoint, backoff = spec.connection.endpoint or EndpointSpec(), spec.connection.backoff
    return Settings(
        name=document.name,
        namespace=document.namespace,
        shard=document.shard,
        exchange=spec.exchange,
        symbols=spec.all_symbols(),
        data_types=tuple(DataType(name) for name in spec.data_types),
        book_depth=(spec.orderbook or OrderbookSpec()).depth,
        candle_intervals=(spec.candle or CandleSpec()).intervals,
        store_raw_data=spec.store_raw_data,
        auto_restart=spec.auto_restart,
        stale_after_s=duration_s(spec.stale_after),
        ping_interval_s=duration_s(spec.connection.ping_interval),
        max_reconnect_attempts=spec.connection.max_reconnect_attempts,
        secret_name=spec.credentials.secret_name if spec.credentials else "",
        credentials_directory=credentials_directory or FilePath(CREDENTIALS_DIRECTORY),
        backoff_initial_s=duration_s(backoff.initial),
        backoff_max_s=duration_s(backoff.max),
        endpoint_websocket=_address("websocket", endpoint_websocket, "ws") or endpoint.websocket,
        endpoint_rest=_address("rest", endpoint_rest, "http") or endpoint.rest,
        sinks=tuple(_sink(sink) for sink in spec.sinks),
        log_level=spec.log_level,
    )


def _address(option: str, given: str | None, scheme: str) -> str | None:
    if given and not given.startswith((f"{scheme}://", f"{scheme}s://")):
        raise InputError(
            f"--endpoint-{option}: {given!r} is not an address; allowed: {scheme}://... or {scheme}s://..."
        )
    return given or None


def _sink(sink: SinkSpec) -> SinkSettings:
    return StdoutSinkSettings(sink.name) if sink.file is None else _file_sink(sink.name, sink.file)


def _file_sink(name: str, spec: FileSpec) -> FileSinkSettings:
    return FileSinkSettings(
        name=name,
        directory=FilePath(spec.directory),
        rotate_bytes=size_bytes(spec.rotate.size),
        rotate_interval_s=duration_s(spec.rotate.interval),
        compression=spec.compression,
        fsync_interval_s=duration_s(spec.fsync_interval),
    )


def _offers() -> CapabilitiesByName:
    from market_collector.exchanges import EXCHANGES

    return {
        name: Capabilities(exchange.offers, exchange.book_depths, exchange.candle_intervals)
        for name, exchange in EXCHANGES.items()
    }


def _problems(source: Source, offers: CapabilitiesByName) -> Iterator[Problem]:
    for path, line in source.duplicates:
        yield Problem(source.file, line, path_text(path), "stands twice in the same mapping; keep one")
    for fault in faults(source.data, offers):
        yield Problem(source.file, source.line(fault.path), path_text(fault.path), fault.text)


def _line(problem: Problem) -> int:
    return problem.line or 0


def _document(source: Source) -> Document:
    data: Any = source.data
    if "contract" in data:
        mounted = msgspec.convert(data, CollectorDocument)
        return Document(source.file, mounted.name, mounted.namespace, mounted.shard, mounted.spec)
    resource = msgspec.convert(data, Resource)
    return Document(source.file, resource.metadata.name, resource.metadata.namespace, 0, resource.spec)
