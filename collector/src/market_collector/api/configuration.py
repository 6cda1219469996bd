"""The configuration of a collector, checked: arguments, ``custom_params``, and the exchange's file below ``config/``.

A later source overrides an earlier one: defaults, ``config/EXCHANGE_config.json``, ``custom_params``. The last two have
the same fields, those of `ExchangeOptions`. All times are in seconds. Limits and messages are those of the resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from market_collector.api.model import Model, Seconds, StoredPath, TypeOf
from market_collector.config.documents import CREDENTIALS_DIRECTORY
from market_collector.config.settings import FileSinkSettings, Problem, Settings
from market_collector.config.yaml_source import Source, UnreadableError, read
from market_collector.errors import ConfigurationError, InputError
from market_collector.exchanges import EXCHANGES
from market_collector.model.streams import DataType
from market_spec.collection import MAX_SYMBOLS, Candle, Collection, OrderBook, book_depth
from market_spec.connection import INITIAL_ABOVE_MAX, REST_ADDRESS, WEBSOCKET_ADDRESS, Backoff, Connection
from market_spec.durations import seconds, size_bytes
from market_spec.exchanges import (
    CAPABILITIES,
    Capabilities,
    Exchange,
    Interval,
    Symbol,
    depths_message,
    intervals_message,
    symbol_rules,
    type_rules,
    types_message,
)
from market_spec.kinds import Fault, Items, Number
from market_spec.messages import not_among, path_text, shown
from market_spec.section import fields_of
from market_spec.sinks import Rotate

EITHER_SYMBOLS = 'Set exactly one of symbol="BTC-USDT" (one) and symbols=["BTC-USDT", "ETH-USDT"] (several)'
CONFIG_DIRECTORY = Path("config")
"""Directory of the exchanges' files, below the working directory."""
RECORD_DIRECTORY = Path("records")
"""Where ``store_raw_data`` stores unless ``record_directory`` names another directory, below the working directory."""
_STALE_AFTER = fields_of(Collection)["staleAfter"]


class ExchangeOptions(Model):
    """The fields of ``custom_params`` and of ``config/EXCHANGE_config.json``; all are optional."""

    websocket_endpoint: Annotated[str | None, WEBSOCKET_ADDRESS] = None
    """Base address (``ws://HOST:PORT``) instead of the exchange's: a proxy, a region, a simulator."""
    rest_endpoint: Annotated[str | None, REST_ADDRESS] = None
    """Base address (``http://HOST:PORT``) instead of the exchange's."""
    ping_interval: Annotated[float, Seconds.of(Connection, "pingInterval")] = seconds(Connection().ping_interval)
    """Ping after this time without a message."""
    max_reconnect_attempts: Annotated[int, fields_of(Connection)["maxReconnectAttempts"].kind] = 0
    """Consecutive failed attempts after which `start` fails, and after which a collector with ``auto_restart=False``
    gives up; 0 = unlimited."""
    backoff_initial: Annotated[float, Seconds.of(Backoff, "initial")] = seconds(Backoff().initial)
    """Upper bound of the first random delay before a reconnect; it doubles with each attempt."""
    backoff_max: Annotated[float, Seconds.of(Backoff, "max")] = seconds(Backoff().max)
    """Upper bound of every delay."""
    stale_after: Annotated[float, Seconds.of(Collection, "staleAfter")] = seconds(_STALE_AFTER.default)
    """A stream without data for longer is stale, unless the exchange confirms that the market is quiet."""
    start_timeout: Annotated[float, Seconds(0.1, 3600)] = 30.0
    """`start` fails when the collector is not connected by then."""
    orderbook_depth: Annotated[int | None, Number(1)] = None
    """Levels per side; None: the exchange's default depth."""
    candle_intervals: Annotated[tuple[Interval, ...], Items(1)] = Candle().intervals
    record_directory: Annotated[Path | None, StoredPath()] = None
    """Directory where every record is written as JSON lines too; None: nowhere."""
    state_directory: Annotated[Path | None, StoredPath()] = None
    """Directory of the checkpoint, from which the next start backfills the gap since the last one. Each collector needs
    its own. None: no checkpoint."""
    credentials_directory: Annotated[Path, StoredPath()] = Path(CREDENTIALS_DIRECTORY)
    """For balances: the API key, in files named apiKey, secretKey and, for OKX, passphrase. It is never an argument, so
    that it gets into no log, traceback or configuration."""

    @classmethod
    def unknown(cls, name: str) -> str:
        """See `Model.unknown`."""
        is_argument = name in ExchangeCollectorConfig.model_fields
        return "is an argument of ExchangeCollectorConfig. Move it there" if is_argument else super().unknown(name)

    def faults(self) -> Iterator[Fault]:
        """See `Model.faults`."""
        if self.backoff_initial > self.backoff_max:
            given = f"backoff_initial is {self.backoff_initial:g}, backoff_max is {self.backoff_max:g}"
            yield Fault((), f"{INITIAL_ABOVE_MAX.format('backoff_initial', 'backoff_max')} ({given})")


class ExchangeCollectorConfig(Model):
    """The configuration of one collector: one or several symbols of one exchange. It is frozen."""

    exchange: Exchange
    symbol: Symbol = ""
    """The only symbol; empty if there are several."""
    symbols: Annotated[tuple[Symbol, ...], Items(1, MAX_SYMBOLS, "set")] = ()
    """All symbols, also if there is only one."""
    data_types: Annotated[list[Annotated[DataType, TypeOf()]], Items(1, None, "set")]
    auto_restart: bool
    health_check_interval: Annotated[float, Seconds.of(Collection, "healthCheckInterval")]
    store_raw_data: bool
    custom_params: dict[str, Any]

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Explains an argument that does not exist, which Python would only name."""
        cls.check_names(given)
        return super().__new__(cls)

    def __init__(
        self,
        exchange: str,
        symbol: str | None = None,
        data_types: Sequence[DataType | str] | None = None,
        auto_restart: bool = True,
        health_check_interval: float = 30.0,
        store_raw_data: bool = False,
        custom_params: Mapping[str, Any] | None = None,
        *,
        symbols: Sequence[str] | None = None,
    ) -> None:
        """Checks everything that can be known without asking the exchange.

        Args:
            exchange: one of `get_supported_exchanges`.
            symbol: a canonical name, for example ``BTC-USDT``. Exactly one of symbol and symbols is required.
            symbols: several of them, up to 500. They share the connections.
            data_types: required; at least one of those that the exchange offers (`ExchangeFactory.get_exchange_info`).
            auto_restart: reconnect without limit, and let a `CollectorManager` restart a failed collector. False: give
                up after ``max_reconnect_attempts``.
            health_check_interval: seconds between two checks of the collector's health; a change is logged.
            store_raw_data: write the exchange's own frames and all records to files below ``record_directory``
                (``records`` unless ``custom_params`` names another).
            custom_params: fields of `ExchangeOptions`.

        Raises:
            ConfigurationError: something is not allowed; the message lists every problem, one per line.
        """
        given_symbols = {"symbol": symbol, "symbols": symbols}
        super().__init__(
            exchange=exchange,
            **{name: value for name, value in given_symbols.items() if value is not None},
            data_types=data_types,
            auto_restart=auto_restart,
            health_check_interval=health_check_interval,
            store_raw_data=store_raw_data,
            custom_params=dict(custom_params) if isinstance(custom_params, Mapping) else custom_params or {},
        )

    @classmethod
    def check_names(cls, given: Iterable[str]) -> None:
        """Raises `ConfigurationError` if one of the names of arguments does not exist."""
        if faults := [f"{name}: {cls.unknown(name)}" for name in given if name not in cls.model_fields]:
            raise ConfigurationError("\n".join(faults))

    @classmethod
    def unknown(cls, name: str) -> str:
        """See `Model.unknown`."""
        is_option = name in ExchangeOptions.model_fields
        return f'is a field of custom_params: {{"{name}": ...}}. Move it there' if is_option else super().unknown(name)

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
        """See `Model.check`; checks ``custom_params`` too."""
        values, faults = super().check(given)
        faults = [*_symbol_faults(given), *(_with_advice(fault, given) for fault in faults)]
        if not faults:
            symbols = values["symbols"] or (values["symbol"],)
            only = symbols[0] if len(symbols) == 1 else ""
            values |= {"symbol": only, "symbols": symbols, "data_types": list(values["data_types"])}
        params = given.get("custom_params")
        options = _option_faults(str(given.get("exchange")), params) if isinstance(params, dict) else []
        return values, faults + [Fault(("custom_params", *path), text) for path, text in options]

    def model_dump(self) -> dict[str, Any]:
        """The arguments that make the same configuration."""
        values = super().model_dump()
        del values["symbols" if self.symbol else "symbol"]
        return values

    @property
    def title(self) -> str:
        """The only symbol, or ``BTC-USDT-and-2-more``, for the names of collectors and files."""
        first, *others = self.symbols
        return f"{first}-and-{len(others)}-more" if others else first

    def faults(self) -> Iterator[Fault]:
        """See `Model.faults`."""
        offer = CAPABILITIES[self.exchange]
        for number, data_type in enumerate(self.data_types):
            if data_type not in offer.data_types:
                text = f"{types_message(self.exchange, offer)} ({shown(data_type)})"
                yield Fault(("data_types", number), text)
        yield from self._symbol_faults(offer)
        if DataType.QUOTE in self.data_types and DataType.ORDERBOOK not in self.data_types:
            yield Fault(("data_types",), f'quotes are made from order books. Add "{DataType.ORDERBOOK}"')

    def _symbol_faults(self, offer: Capabilities) -> Iterator[Fault]:
        given: dict[tuple[str | int, ...], str] = {("symbols", at): each for at, each in enumerate(self.symbols)}
        if self.symbol:
            given[("symbol",)] = self.symbol
        of_types = [rule for types, rule in type_rules().items() if set(types) & set(self.data_types)]
        for path, symbol in given.items():
            for rule in (*symbol_rules(self.exchange, offer), *of_types):
                if words := rule.check(symbol):
                    yield Fault(path, f"{rule.message} ({words})")


def known_exchange(name: str) -> str:
    """The name itself.

    Raises:
        ConfigurationError: there is no such exchange here.
    """
    if not isinstance(name, str) or name not in EXCHANGES:
        raise ConfigurationError(f"exchange: {not_among(name, sorted(EXCHANGES))}")
    return name


def known_type(given: object) -> DataType:
    """The data type, from itself or its name.

    Raises:
        ConfigurationError: it is neither.
    """
    if callable(given):
        raise ConfigurationError("data_type: is a function. The data type comes first: (DataType.TRADE, callback)")
    found = next((each for each in DataType if each == given), None)
    if found is None:
        raise ConfigurationError(f"data_type: {not_among(given, tuple(DataType))}")
    return found


def collected_type(config: ExchangeCollectorConfig, given: object) -> DataType:
    """A data type of this configuration, from itself or its name.

    Raises:
        ConfigurationError: it is neither, or the configuration does not collect it.
    """
    data_type = known_type(given)
    if data_type not in config.data_types:
        collected = f"{config.title} is collected with data_types {shown(config.data_types)}"
        raise ConfigurationError(f'data_type: {collected}, so "{data_type}" would never come. Add it to data_types')
    return data_type


def options_of(exchange: str, given: Mapping[str, Any]) -> ExchangeOptions:
    """The options: the defaults, overridden by the exchange's file, overridden by `given`.

    Raises:
        InputError: the file cannot be read, or something is not allowed; names file, line and field.
    """
    merged = _file_options(exchange) | dict(given)
    if faults := _option_faults(exchange, merged):
        raise ConfigurationError("\n".join(": ".join(filter(None, (path_text(path), text))) for path, text in faults))
    return ExchangeOptions.model_validate(merged)


def _options_file(exchange: str) -> Path:
    return CONFIG_DIRECTORY / f"{exchange}_config.json"


def _file_options(exchange: str) -> dict[str, Any]:
    """The fields of ``config/EXCHANGE_config.json``; none when there is no such file."""
    path = _options_file(exchange)
    if not path.exists():
        return {}
    source = _only_document(path)
    if not isinstance(source.data, dict):
        raise ConfigurationError(str(Problem(source.file, 1, "", 'must be an object: {"ping_interval": 20}')))
    problems = [Problem(source.file, line, path_text(at), "appears twice. Keep one") for at, line in source.duplicates]
    for at, text in _option_faults(exchange, source.data):
        problems.append(Problem(source.file, source.line(at), path_text(at), text))
    if problems:
        problems.sort(key=lambda problem: problem.line or 0)
        raise ConfigurationError("\n".join(map(str, problems)))
    return source.data


def _only_document(path: Path) -> Source:
    documents = read(str(path)) if path.stat().st_size else []
    if len(documents) != 1:
        raise UnreadableError(str(path), None, f"has {len(documents)} documents. Give one object, or remove the file")
    return documents[0]


def settings_of(config: ExchangeCollectorConfig, options: ExchangeOptions) -> Settings:
    """The settings of the collector underneath.

    Raises:
        ConfigurationError: the API key would be sent unencrypted.
    """
    try:
        return _settings_of(config, options)
    except InputError as error:
        raise ConfigurationError(f"custom_params: {error}") from error


def _settings_of(config: ExchangeCollectorConfig, options: ExchangeOptions) -> Settings:
    return Settings(
        name=f"{config.exchange}-{config.title.lower()}",
        namespace="default",
        shard=0,
        exchange=config.exchange,
        symbols=config.symbols,
        data_types=tuple(config.data_types),
        book_depth=book_depth(config.exchange, OrderBook(options.orderbook_depth)),
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
    rotate = Rotate()
    size, age_s = size_bytes(rotate.size), seconds(rotate.interval)
    return (FileSinkSettings("records", directory, size, age_s, compression="none", fsync_interval_s=1.0),)


def _symbol_faults(given: Mapping[str, Any]) -> Iterator[Fault]:
    names = [name for name in ("symbol", "symbols") if name in given]
    if len(names) != 1:
        state = "both are set" if names else "is required"
        yield Fault(("symbols" if names else "symbol",), f"{state}. {EITHER_SYMBOLS}")


def _with_advice(fault: Fault, given: Mapping[str, Any]) -> Fault:
    is_list = fault.path == ("symbol",) and isinstance(given.get("symbol"), (list, tuple, set))
    return Fault(fault.path, f"{fault.text}. {EITHER_SYMBOLS}") if is_list else fault


def _option_faults(exchange: str, given: Mapping[str, Any]) -> list[Fault]:
    values, faults = ExchangeOptions.check(given)
    offer, known = CAPABILITIES.get(exchange), {fault.path[:1] for fault in faults}
    if offer is None:
        return faults
    depth = values.get("orderbook_depth")
    if depth not in (None, *offer.depths) and ("orderbook_depth",) not in known:
        faults.append(Fault(("orderbook_depth",), f"{depths_message(exchange)} (depth is {depth})"))
    intervals = [each for each in values.get("candle_intervals", ()) if each not in offer.intervals]
    if intervals and ("candle_intervals",) not in known:
        faults.append(Fault(("candle_intervals",), f"{intervals_message(exchange)} ({', '.join(intervals)} is not)"))
    return faults
