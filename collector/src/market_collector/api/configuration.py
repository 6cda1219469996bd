"""What a collector is to do, checked: arguments, ``custom_params``, and the exchange's own file below ``config/``.

Three places, a later one wins: defaults, ``config/EXCHANGE_config.json``, ``custom_params``. The last two have the same
fields, those of `ExchangeOptions`, so there is one list to know. All times are in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from market_collector.config.settings import FileSinkSettings, Problem, Settings
from market_collector.config.spec import CREDENTIALS_DIRECTORY, SYMBOL, RotateSpec, duration_s, size_bytes
from market_collector.config.validation import Fault, path_text, shown, unknown_field
from market_collector.config.yaml_source import Source, UnreadableError, read
from market_collector.errors import ConfigurationError
from market_collector.exchanges import EXCHANGES
from market_collector.model.streams import DataType

CONFIG_DIRECTORY = Path("config")
"""Where the exchanges' files are, below the working directory."""
RECORD_DIRECTORY = Path("records")
"""Where ``store_raw_data`` stores unless ``record_directory`` says otherwise, below the working directory."""


class ExchangeOptions(BaseModel):
    """The fields of ``custom_params`` and of ``config/EXCHANGE_config.json``; all may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    websocket_endpoint: str | None = None
    """Base address (``ws://HOST:PORT``) instead of the exchange's: a proxy, a region, a simulator."""
    rest_endpoint: str | None = None
    """Base address (``http://HOST:PORT``) instead of the exchange's."""
    ping_interval: Annotated[float, Field(strict=True, ge=1, le=25)] = 20.0
    """A link that is silent for this long is asked whether it lives."""
    max_reconnect_attempts: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = 0
    """Attempts in a row without success after which `start` fails, and a collector with ``auto_restart=False`` gives
    up; 0 = unlimited."""
    backoff_initial: Annotated[float, Field(strict=True, ge=0.01, le=60)] = 1.0
    """The first wait before a reconnect is drawn between 0 and this bound, which then doubles."""
    backoff_max: Annotated[float, Field(strict=True, ge=0.1, le=600)] = 60.0
    """The bound does not grow beyond this."""
    stale_after: Annotated[float, Field(strict=True, ge=1, le=3600)] = 60.0
    """A stream without data for longer is stale, unless the exchange confirms that the market is quiet."""
    start_timeout: Annotated[float, Field(strict=True, ge=0.1, le=3600)] = 30.0
    """`start` fails when the collector is not connected by then."""
    orderbook_depth: Annotated[int, Field(strict=True)] = 400
    """Levels a side."""
    candle_intervals: Annotated[tuple[str, ...], Field(min_length=1)] = ("1m",)
    record_directory: Path | None = None
    """Where to write every record as JSON lines as well; None: nowhere."""
    state_directory: Path | None = None
    """Where to remember what was delivered, so that the next start finds, and repairs, what was missed in between; each
    collector needs its own. None: each start begins anew."""

    credentials_directory: Path = Path(CREDENTIALS_DIRECTORY)
    """For balances: where the API key is, in files named apiKey, secretKey and passphrase. It is never an argument, so
    that it gets into no log, traceback or configuration."""

    @field_validator("websocket_endpoint", "rest_endpoint")
    @classmethod
    def _is_base_address(cls, address: str | None, field: ValidationInfo) -> str | None:
        scheme = "ws" if field.field_name == "websocket_endpoint" else "http"
        if address is not None and not re.fullmatch(rf"{scheme}s?://[^/?#\s]+/?", address):
            allowed = f"{scheme}://HOST:PORT or {scheme}s://HOST:PORT, without a path"
            raise ValueError(f"{shown(address)} is not a base address; allowed: {allowed}")
        return address

    @model_validator(mode="after")
    def _backoff_grows(self) -> Self:
        if self.backoff_initial > self.backoff_max:
            first, last = self.backoff_initial, self.backoff_max
            raise ValueError(f"backoff_initial ({first:g}) is more than backoff_max ({last:g}); allowed: at most that")
        return self


class ExchangeCollectorConfig(BaseModel):
    """What one collector collects: one symbol of one exchange. It cannot be changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchange: str
    symbol: str
    data_types: list[DataType] = Field(min_length=1)
    auto_restart: bool = Field(strict=True)
    health_check_interval: Annotated[float, Field(strict=True, ge=1, le=600)]
    store_raw_data: bool = Field(strict=True)
    custom_params: dict[str, Any]

    def __init__(
        self,
        exchange: str,
        symbol: str,
        data_types: Sequence[DataType | str],
        auto_restart: bool = True,
        health_check_interval: float = 30.0,
        store_raw_data: bool = False,
        custom_params: Mapping[str, Any] | None = None,
    ) -> None:
        """Checks all that can be known without asking the exchange.

        Args:
            exchange: one of `get_supported_exchanges`.
            symbol: canonical BASE-QUOTE, for example ``BTC-USDT``.
            data_types: at least one of those that the exchange offers (`ExchangeFactory.get_exchange_info`).
            auto_restart: connect again without end, and let a `CollectorManager` start a failed collector again; False:
                give up after ``max_reconnect_attempts``.
            health_check_interval: seconds between two looks at the collector's health; a change is logged.
            store_raw_data: write the exchange's own frames and all records to files below ``record_directory``
                (``records`` unless ``custom_params`` names another).
            custom_params: fields of `ExchangeOptions`.

        Raises:
            ConfigurationError: something is not allowed; the message lists every problem, a line each.
        """
        try:
            super().__init__(
                exchange=exchange,
                symbol=symbol,
                data_types=data_types,
                auto_restart=auto_restart,
                health_check_interval=health_check_interval,
                store_raw_data=store_raw_data,
                custom_params=custom_params or {},
            )
            found = [*_not_offered(self.exchange, self.data_types)]
        except ValidationError as error:
            found = _faults(error, list(type(self).model_fields))
        found += [
            Fault(("custom_params", *path), text) for path, text in _option_faults(str(exchange), custom_params or {})
        ]
        if found:
            raise ConfigurationError("\n".join(f"{path_text(path)}: {text}" for path, text in found))

    @field_validator("exchange")
    @classmethod
    def _is_known(cls, exchange: str) -> str:
        known_exchange(exchange)
        return exchange

    @field_validator("symbol")
    @classmethod
    def _is_canonical(cls, symbol: str) -> str:
        if not re.fullmatch(SYMBOL, symbol) or symbol.endswith("\n"):
            raise ValueError(f"{shown(symbol)} is not a symbol; allowed: BASE-QUOTE in capitals, like BTC-USDT")
        return symbol


def known_exchange(name: str) -> str:
    """The name itself.

    Raises:
        ConfigurationError: there is no such exchange here.
    """
    if name not in EXCHANGES:
        raise ConfigurationError(f"{shown(name)} is not an exchange; allowed: {', '.join(sorted(EXCHANGES))}")
    return name


def options_of(exchange: str, given: Mapping[str, Any]) -> ExchangeOptions:
    """What holds: the defaults, over them the exchange's file, over that what is given.

    Raises:
        InputError: the file cannot be read, or something is not allowed; names file, line and field.
    """
    merged = _file_options(exchange) | dict(given)
    if faults := _option_faults(exchange, merged):
        raise ConfigurationError("\n".join(": ".join(filter(None, (path_text(path), text))) for path, text in faults))
    return ExchangeOptions.model_validate(merged)


def _options_file(exchange: str) -> Path:
    """Where the exchange's file would be."""
    return CONFIG_DIRECTORY / f"{exchange}_config.json"


def _file_options(exchange: str) -> dict[str, Any]:
    """The fields of ``config/EXCHANGE_config.json``; none when there is no such file."""
    path = _options_file(exchange)
    if not path.exists():
        return {}
    source = _only_document(path)
    problems = [Problem(source.file, line, path_text(at), "stands twice; keep one") for at, line in source.duplicates]
    if not isinstance(source.data, dict):
        raise ConfigurationError(str(Problem(source.file, 1, "", 'must be an object: {"ping_interval": 20}')))
    for at, text in _option_faults(exchange, source.data):
        problems.append(Problem(source.file, source.line(at), path_text(at), text))
    if problems:
        raise ConfigurationError("\n".join(map(str, problems)))
    return source.data


def _only_document(path: Path) -> Source:
    documents = read(str(path)) if path.stat().st_size else []
    if len(documents) != 1:
        raise UnreadableError(str(path), None, f"holds {len(documents)} documents; give one object, or remove the file")
    return documents[0]


def settings_of(config: ExchangeCollectorConfig, options: ExchangeOptions) -> Settings:
    """The same in the words of the collector underneath."""
    return Settings(
        name=f"{config.exchange}-{config.symbol.lower()}",
        namespace="default",
        shard=0,
        exchange=config.exchange,
        symbols=(config.symbol,),
        data_types=tuple(config.data_types),
        book_depth=options.orderbook_depth,
        candle_intervals=options.candle_intervals,
        store_raw_data=config.store_raw_data,
        auto_restart=config.auto_restart,
        stale_after_s=options.stale_after,
        ping_interval_s=options.ping_interval,
        max_reconnect_attempts=options.max_reconnect_attempts,
        backoff_initial_s=options.backoff_initial,
        backoff_max_s=options.backoff_max,
        endpoint_websocket=options.websocket_endpoint,
        endpoint_rest=options.rest_endpoint,
        credentials_directory=options.credentials_directory,
        sinks=_file_sinks(options.record_directory or (RECORD_DIRECTORY if config.store_raw_data else None)),
    )


def _file_sinks(directory: Path | None) -> tuple[FileSinkSettings, ...]:
    if directory is None:
        return ()
    rotate = RotateSpec()
    size, age_s = size_bytes(rotate.size), duration_s(rotate.interval)
    return (FileSinkSettings("records", directory, size, age_s, compression="none", fsync_interval_s=1.0),)


# --- what is wrong ---------------------------------------------------------------------------------------------------


def _option_faults(exchange: str, raw: Mapping[str, Any]) -> list[Fault]:
    try:
        options = ExchangeOptions.model_validate(raw)
    except ValidationError as error:
        return _faults(error, list(ExchangeOptions.model_fields))
    return list(_options_not_offered(exchange, options))


def _not_offered(exchange: str, data_types: Sequence[DataType]) -> Iterator[Fault]:
    offers = EXCHANGES[exchange].offers
    allowed = ", ".join(each for each in DataType if each in offers)
    for number, data_type in enumerate(data_types):
        if data_type not in offers:
            yield Fault(("data_types", number), f"{exchange} does not offer {data_type}; allowed: {allowed}")
        elif data_type in data_types[:number]:
            yield Fault(("data_types", number), f"{data_type} stands here twice; name each only once")


def _options_not_offered(exchange: str, options: ExchangeOptions) -> Iterator[Fault]:
    venue = EXCHANGES.get(exchange)
    if venue is None:
        return
    if options.orderbook_depth not in venue.book_depths:
        allowed = ", ".join(map(str, venue.book_depths))
        text = f"{exchange} has no book of {options.orderbook_depth} levels; allowed: {allowed}"
        yield Fault(("orderbook_depth",), text)
    for number, interval in enumerate(options.candle_intervals):
        if interval not in venue.candle_intervals:
            allowed = ", ".join(venue.candle_intervals)
            yield Fault(("candle_intervals", number), f"{exchange} has no candles of {interval}; allowed: {allowed}")


def _faults(error: ValidationError, known: Sequence[str]) -> list[Fault]:
    """pydantic's findings in this package's words."""
    return [
        Fault(each["loc"], _text(each["type"], each["loc"], each["input"], each["msg"], known))
        for each in error.errors()
    ]


def _text(kind: str, path: tuple[str | int, ...], given: object, message: str, known: Sequence[str]) -> str:
    if kind == "extra_forbidden":
        return unknown_field(str(path[-1]), known)
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return f"{shown(given)} is not allowed: {message[0].lower()}{message[1:]}"
