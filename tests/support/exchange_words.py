"""The words of the simulated exchanges and their markets, for tests that run with each of them."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from market_simulator.dialects.bybit.trade_ids import dense


class Fill(NamedTuple):
    """One fill of the truth, in the words of records."""

    id: int
    price: str
    amount: str
    side: str
    time_ns: int


@dataclass(frozen=True)
class ExchangeWords:
    """The words of one exchange, or of one of its markets."""

    name: str
    """Of the exchange."""
    key: Mapping[str, str]
    """The simulator's API key, by the keys of the Secret."""
    close_codes: Sequence[int]
    public_path: str
    """Short name of the path of connections with order books."""
    account_path: str
    """Short name of the path of the connection of the account."""
    connections: Set[str]
    """Names of the collector's connections for tickers and balances."""
    wrong_keys: Sequence[tuple[Mapping[str, str], str]]
    """Parts of a key that the exchange refuses, and the code of the error."""
    clock_error: str
    """Code of a signature whose time is refused."""
    echo_error: str
    """Code of an error that may repeat the request."""
    paused: str
    """State in records of an instrument that is not open yet, or not any more."""
    temporary_error: str
    """Code of a refused subscription that may succeed later."""
    permanent_error: str
    trade_history: str
    """REST path of the history of trades, below the common prefix."""
    candle_history: str
    read_fill: Callable[[Any], Fill]
    candles_path: Callable[[str, str], str]
    """REST path of the last 300 candles by symbol and interval."""
    closed_candles: Callable[[Any], list[list[Any]]]
    """Rows of closed candles in the answer, each with open time in milliseconds, open, high, low, close, volume."""
    holding: Callable[[Mapping[str, str]], tuple[str, str, str]]
    """Total, available and locked amount of a row of ``/truth/account``."""
    symbol: str = "BTC-USDT"
    """The instrument of tests that have one."""
    book_snapshots: str = ""
    """REST path of the snapshots of books; "" where connections bring them."""
    number: Callable[[str], str] = str
    """A number of the simulated market as the exchange writes it."""
    stale_after_s: float = 2.0
    """Of a collector with short deadlines: half of it is longer than the pause between two messages."""
    options: Sequence[str] = ()
    """Options of the simulator for tests with short deadlines."""
    interval: str = "1s"
    """The shortest interval of candles."""
    has_restarts: bool = False
    """Whether sequences of books may restart."""
    has_exact_links: bool = True
    """Whether all connections send the same updates of a book."""
    number_of: Callable[[str], int] = int
    """The market's number of a fill by the exchange's trade id."""
    has_dense_ids: bool = True
    """Whether trade ids show each missing trade."""
    has_whole_tickers: bool = True
    """Whether a ticker is one message, and not made of two topics."""
    has_times_of_changes: bool = True
    """Whether an account over REST has the times of changes; otherwise that of the answer."""
    book_depth: int | None = None
    """Levels per side of a book with numbers of its own; None if it has all levels and the market's numbers."""


def _eight(number: str) -> str:
    """With 8 decimals, except for the amount of a deleted level."""
    whole, _, decimals = number.partition(".")
    return number if number == "0" else f"{whole}.{decimals:0<8}"


def _okx_fill(row: Any) -> Fill:
    return Fill(int(row["tradeId"]), row["px"], row["sz"], row["side"], int(row["ts"]) * 1_000_000)


def _binance_fill(row: Any) -> Fill:
    side = "sell" if row["isBuyerMaker"] else "buy"
    return Fill(row["id"], row["price"], row["qty"], side, row["time"] * 1_000_000)


def _binance_holding(row: Mapping[str, str]) -> tuple[str, str, str]:
    total = Decimal(row["free"]) + Decimal(row["locked"])
    return (format(total, "f"), row["free"], row["locked"]) if total else ("0", "0", "0")


def _perpetual_fill(row: Any) -> Fill:
    """Each fill is an aggregate trade, whose numbers are shorter than in the truth."""
    fill = _binance_fill(row)
    return fill._replace(price=f"{Decimal(fill.price):.1f}", amount=f"{Decimal(fill.amount):.2f}")


def _binance_candles(symbol: str, interval: str, api: str = "/api/v3") -> str:
    return f"{api}/klines?symbol={symbol.replace('-', '')}&interval={interval}&limit=300"


def _bybit_fill(row: Any) -> Fill:
    """Its ids have no order, so that of the market is read from them."""
    return Fill(dense(row["execId"]), row["price"], row["size"], row["side"].lower(), int(row["time"]) * 1_000_000)


def _bybit_candles(symbol: str, interval: str) -> str:
    category, name = ("linear" if symbol.endswith("-PERP") else "spot"), symbol.removesuffix("-PERP").replace("-", "")
    return f"/v5/market/kline?category={category}&symbol={name}&interval={interval.removesuffix('m')}&limit=300"


def _bybit_holding(row: Mapping[str, str]) -> tuple[str, str, str]:
    total, locked = Decimal(row["walletBalance"]), Decimal(row["locked"])
    return (format(total, "f"), format(total - locked, "f"), row["locked"]) if total else ("0", "0", "0")


OKX = ExchangeWords(
    name="okx",
    key={"apiKey": "simulator-api-key", "secretKey": "simulator-secret-key", "passphrase": "simulator-passphrase"},
    close_codes=(1001, 4004, 4005, 4008),
    public_path="public",
    account_path="private",
    connections={"public", "private"},
    wrong_keys=[({"apiKey": "other"}, "60005"), ({"passphrase": "o"}, "60024"), ({"secretKey": "o"}, "60007")],
    clock_error="60006",
    echo_error="60012",
    paused="pre_launch",
    temporary_error="63999",
    permanent_error="60018",
    trade_history="market/history-trades",
    candle_history="market/candles",
    read_fill=_okx_fill,
    candles_path=lambda symbol, interval: f"/api/v5/market/candles?instId={symbol}&bar={interval}&limit=300",
    closed_candles=lambda answer: [row for row in answer["data"] if row[-1] == "1"],
    holding=lambda row: (row["cashBal"], row["availBal"], row["frozenBal"]),
    has_restarts=True,
)
BINANCE = ExchangeWords(
    name="binance",
    key={"apiKey": "simulator-api-key", "secretKey": "simulator-secret-key"},
    close_codes=(1001, 1008),
    public_path="stream",
    account_path="ws-api",
    connections={"market", "account"},
    wrong_keys=[({"apiKey": "other"}, "-2015"), ({"secretKey": "o"}, "-1022")],
    clock_error="-1021",
    echo_error="-1102",
    paused="halted",
    temporary_error="-1003",
    permanent_error="2",
    trade_history="historicalTrades",
    candle_history="klines",
    book_snapshots="depth",
    read_fill=_binance_fill,
    candles_path=_binance_candles,
    closed_candles=lambda answer: answer[:-1],
    holding=_binance_holding,
    number=_eight,
    stale_after_s=3.0,
    options=("--silence-limit", "1.2", "--no-rate-limits"),
    has_exact_links=False,
)
BINANCE_PERPETUAL = replace(
    BINANCE,
    public_path="public-stream",
    trade_history="fapi/aggTrades",
    candle_history="fapi/klines",
    book_snapshots="fapi/depth",
    symbol="BTC-USDT-PERP",
    read_fill=_perpetual_fill,
    candles_path=lambda symbol, interval: _binance_candles(symbol.removesuffix("-PERP"), interval, "/fapi/v1"),
    number=str,
    interval="1m",
)
"""Those of the perpetuals. Their numbers have the decimals of the instrument."""
BYBIT = ExchangeWords(
    name="bybit",
    key={"apiKey": "simulator-api-key", "secretKey": "simulator-secret-key"},
    close_codes=(1001,),
    public_path="spot",
    account_path="private",
    connections={"spot", "private"},
    wrong_keys=[({"apiKey": "other"}, "apiKey is not known"), ({"secretKey": "o"}, "secretKey is wrong")],
    clock_error="10002",
    echo_error="10001",
    paused="pre_launch",
    temporary_error="10016",
    permanent_error="10001",
    trade_history="market/recent-trade",
    candle_history="market/kline",
    read_fill=_bybit_fill,
    candles_path=_bybit_candles,
    closed_candles=lambda answer: answer["result"]["list"][1:],
    holding=_bybit_holding,
    stale_after_s=3.0,
    has_restarts=True,
    interval="1m",
    number_of=dense,
    has_dense_ids=False,
    has_whole_tickers=False,
    has_times_of_changes=False,
    book_depth=200,
)
BYBIT_LINEAR = replace(BYBIT, public_path="linear", symbol="BTC-USDT-PERP")
"""Those of the linear market."""
WORDS = {words.name: words for words in (OKX, BINANCE)}
"""Exchanges with dense trade ids: each missing trade is found, and can be requested by its id."""
ALL_WORDS = WORDS | {BYBIT.name: BYBIT}
MARKETS = ALL_WORDS | {"binance-perpetual": BINANCE_PERPETUAL, "bybit-linear": BYBIT_LINEAR}
"""By exchange, or exchange and kind of instrument."""
