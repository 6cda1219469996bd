"""From a file to the settings of one collector, with every problem of the file in one round."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

import msgspec

from market_collector.config.documents import CREDENTIALS_DIRECTORY, CollectorDocument
from market_collector.config.yaml_source import Source, UnreadableError, read
from market_collector.errors import InputError
from market_collector.model.streams import DataType
from market_spec.collection import Candle, Collection, OrderBook, book_depth
from market_spec.connection import PLAIN_LOGIN, Endpoint, is_login_address
from market_spec.durations import seconds, size_bytes
from market_spec.kinds import Findings
from market_spec.messages import path_text, shown
from market_spec.section import Block
from market_spec.sinks import FileSink, Sink


class Problem(msgspec.Struct, frozen=True):
    """One thing in a file that the user must correct."""

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
    """Something in a file is not allowed; the message lists every problem, one per line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class Document(msgspec.Struct, frozen=True):
    """One valid resource, or one shard of it."""

    file: str
    name: str
    namespace: str
    shard: int
    spec: Collection


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
    """The settings of one collector process: every default is filled in, every duration is in seconds."""

    name: str
    namespace: str
    shard: int
    exchange: str
    symbols: tuple[str, ...]
    data_types: tuple[DataType, ...]
    book_depth: int | None = None
    """Levels per side; None for what the exchange sends."""
    snapshot_interval_s: float = seconds(OrderBook().snapshot_interval)
    candle_intervals: tuple[str, ...] = Candle().intervals
    store_raw_data: bool = False
    audit_volumes: bool = False
    auto_restart: bool = True
    stale_after_s: float = 60.0
    ping_interval_s: float = 20.0
    max_reconnect_attempts: int = 0
    """0 = unlimited."""
    secret_name: str = ""
    """Name of the Secret with the API key, for messages; balances only."""
    credentials_directory: FilePath = FilePath(CREDENTIALS_DIRECTORY)
    """Where the keys of the Secret are files."""
    backoff_initial_s: float = 1.0
    backoff_max_s: float = 60.0
    endpoint_websocket: str | None = None
    endpoint_rest: str | None = None
    allow_plain_login: bool = False
    """Whether the API key may be sent unencrypted."""
    sinks: tuple[SinkSettings, ...] = (StdoutSinkSettings("out"),)
    log_level: str = "info"

    def __post_init__(self) -> None:
        """Refuse to send an API key unencrypted.

        Raises:
            InputError: an address is neither encrypted nor on loopback.
        """
        if DataType.BALANCE not in self.data_types or self.allow_plain_login:
            return
        for address in filter(None, (self.endpoint_websocket, self.endpoint_rest)):
            if not is_login_address(address):
                raise InputError(f"{shown(address)}: {PLAIN_LOGIN}")

    def address(self, default: str) -> str:
        """Return the base address to use for a host of the exchange: that of the spec, or the default.

        Args:
            default: the host's own, ``wss://...`` of connections or ``https://...`` of REST.
        """
        return (self.endpoint_websocket if default.startswith("ws") else self.endpoint_rest) or default


def load(path: str) -> list[Document]:
    """The documents of a file (``-``: standard input), each a MarketCollector or the operator's collector document.

    Raises:
        yaml_source.UnreadableError: the file as a whole cannot be read.
        DocumentError: something in the file is not allowed; carries every problem.
    """
    problems: list[Problem] = []
    try:
        documents = [_document(source, problems) for source in read(path)]
    except UnreadableError as error:
        for source in error.before:
            _document(source, problems)
        if not problems:
            raise
        problems.append(Problem(error.file, error.line, "", error.reason))
    if problems:
        raise DocumentError(tuple(problems))
    return [document for document in documents if document]


def read_settings(
    document: Document,
    *,
    endpoint_websocket: str | None = None,
    endpoint_rest: str | None = None,
    credentials_directory: FilePath | None = None,
) -> Settings:
    """A document's settings; addresses from the command line override its own.

    Raises:
        InputError: an address from the command line has another scheme, or would get the API key unencrypted.
    """
    spec = document.spec
    endpoint, backoff = spec.connection.endpoint or Endpoint(), spec.connection.backoff
    return Settings(
        name=document.name,
        namespace=document.namespace,
        shard=document.shard,
        exchange=spec.exchange,
        symbols=symbols_of(spec),
        data_types=tuple(DataType(name) for name in spec.data_types),
        book_depth=book_depth(spec.exchange, spec.orderbook),
        snapshot_interval_s=seconds((spec.orderbook or OrderBook()).snapshot_interval),
        candle_intervals=(spec.candle or Candle()).intervals,
        store_raw_data=spec.store_raw_data,
        audit_volumes=spec.audit_volumes,
        auto_restart=spec.auto_restart,
        stale_after_s=seconds(spec.stale_after),
        ping_interval_s=seconds(spec.connection.ping_interval),
        max_reconnect_attempts=spec.connection.max_reconnect_attempts,
        secret_name=spec.credentials.secret_name if spec.credentials else "",
        credentials_directory=credentials_directory or FilePath(CREDENTIALS_DIRECTORY),
        backoff_initial_s=seconds(backoff.initial),
        backoff_max_s=seconds(backoff.max),
        endpoint_websocket=base_address("websocket", endpoint_websocket, "ws") or endpoint.websocket,
        endpoint_rest=base_address("rest", endpoint_rest, "http") or endpoint.rest,
        allow_plain_login=endpoint.allow_plain_login,
        sinks=tuple(_sink(sink) for sink in spec.sinks),
        log_level=spec.log_level,
    )


def symbols_of(spec: Collection) -> tuple[str, ...]:
    """The symbols in the order of the document, from whichever of the two fields has them."""
    return spec.symbols or ((spec.symbol,) if spec.symbol else ())


def base_address(option: str, given: str | None, scheme: str) -> str | None:
    """The value of an option, or None if it is not given.

    Raises:
        InputError: it is not a base address of the scheme.
    """
    if given and not given.startswith((f"{scheme}://", f"{scheme}s://")):
        raise InputError(
            f"--endpoint-{option}: {given!r} is not a base address: must be {scheme}://HOST:PORT or {scheme}s://HOST:PORT"
        )
    return given or None


def _sink(sink: Sink) -> SinkSettings:
    return StdoutSinkSettings(sink.name) if sink.file is None else _file_sink(sink.name, sink.file)


def _file_sink(name: str, spec: FileSink) -> FileSinkSettings:
    return FileSinkSettings(
        name=name,
        directory=FilePath(spec.directory),
        rotate_bytes=size_bytes(spec.rotate.size),
        rotate_interval_s=seconds(spec.rotate.interval),
        compression=spec.compression,
        fsync_interval_s=seconds(spec.fsync_interval),
    )


def _document(source: Source, problems: list[Problem]) -> Document | None:
    findings = Findings()
    is_mounted = isinstance(source.data, dict) and "contract" in source.data
    document = (_read_mounted if is_mounted else _read_resource)(source, findings)
    problems += sorted(_problems(source, findings), key=lambda problem: problem.line or 0)
    return document


def _read_mounted(source: Source, findings: Findings) -> Document | None:
    read: CollectorDocument | None = Block(CollectorDocument).read(source.data, (), findings)
    return Document(source.file, read.name, read.namespace, read.shard, read.spec) if read else None


def _read_resource(source: Source, findings: Findings) -> Document | None:
    from market_collector.config.resource import Resource  # 0.2 MB that a pod does without

    read: Resource | None = Block(Resource).read(source.data, (), findings)
    return Document(source.file, read.metadata.name, read.metadata.namespace, 0, read.spec) if read else None


def _problems(source: Source, findings: Findings) -> Iterator[Problem]:
    for path, line in source.duplicates:
        yield Problem(source.file, line, path_text(path), "appears twice in the same mapping. Keep one")
    for path, text in findings.faults:
        yield Problem(source.file, source.line(path), path_text(path), text)
