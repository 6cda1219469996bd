"""The tapes' instruments for cryptofeed, which would otherwise request them over REST at each start."""

from typing import Any

from bench import frames
from bench.dialects import SYMBOLS
from cryptofeed.exchanges.binance import Binance  # type: ignore[import-not-found]
from cryptofeed.exchanges.bybit import Bybit  # type: ignore[import-not-found]
from cryptofeed.exchanges.okx import OKX  # type: ignore[import-not-found]
from cryptofeed.symbols import Symbols  # type: ignore[import-not-found]

Callbacks = dict[str, Any]
ROWS: tuple[dict[str, str], ...] = (
    {"instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "tickSz": "0.1"},
    {"instType": "SPOT", "instId": "ETH-USDT", "baseCcy": "ETH", "quoteCcy": "USDT", "tickSz": "0.01"},
    {"instType": "SPOT", "instId": "BTC-USD", "baseCcy": "BTC", "quoteCcy": "USD", "tickSz": "0.1"},
)


def okx(books: int, callbacks: Callbacks, *, checksum: bool) -> Any:
    """cryptofeed's OKX feed for all streams of a tape with this many books."""
    names = _set_symbols(OKX, [{"data": ROWS}])
    ours = {theirs: name for name, theirs in names.items()}
    symbols = [ours[instrument] for instrument in frames.instruments(books)]
    return _feed(OKX, symbols, callbacks, checksum_validation=checksum)


def binance(callbacks: Callbacks) -> Any:
    """cryptofeed's feed of Binance spot for all streams of a tape."""
    rows = [
        {"symbol": symbol, **assets, "filters": [{"tickSize": "0.01"}]}
        for symbol, assets in _assets("baseAsset", "quoteAsset").items()
    ]
    return _feed(Binance, [*_set_symbols(Binance, {"symbols": rows})], callbacks)


def bybit(callbacks: Callbacks) -> Any:
    """cryptofeed's feed of Bybit's linear perpetuals for all streams of a tape."""
    kind = {"contractType": "LinearPerpetual", "priceFilter": {"tickSize": "0.1"}}
    rows = [{"symbol": symbol, **assets, **kind} for symbol, assets in _assets("baseCoin", "quoteCoin").items()]
    return _feed(Bybit, [*_set_symbols(Bybit, [{"result": {"list": rows}}])], callbacks)


def _assets(base: str, quote: str) -> dict[str, dict[str, str]]:
    return {symbol: {base: symbol.removesuffix("USDT"), quote: "USDT"} for symbol in SYMBOLS.values()}


def _set_symbols(exchange: Any, listed: Any) -> dict[str, str]:
    """Set the instruments. Returns the exchange's names by those of cryptofeed."""
    names, facts = exchange._parse_symbol_data(listed)
    Symbols.set(exchange.id, names, facts)
    return {**names}


def _feed(exchange: Any, symbols: list[str], callbacks: Callbacks, **options: Any) -> Any:
    config = {"uvloop": True, "log": {"disabled": True}}
    return exchange(config=config, symbols=symbols, channels=[*callbacks], callbacks=callbacks, **options)
