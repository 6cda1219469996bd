"""The tape's instruments for cryptofeed, which would otherwise make five REST requests at each start."""

from typing import Any

from bench import frames
from cryptofeed.exchanges.okx import OKX  # type: ignore[import-not-found]
from cryptofeed.symbols import Symbols  # type: ignore[import-not-found]

ROWS: tuple[dict[str, str], ...] = (
    {"instType": "SPOT", "instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "tickSz": "0.1"},
    {"instType": "SPOT", "instId": "ETH-USDT", "baseCcy": "ETH", "quoteCcy": "USDT", "tickSz": "0.01"},
    {"instType": "SPOT", "instId": "BTC-USD", "baseCcy": "BTC", "quoteCcy": "USD", "tickSz": "0.1"},
)


def feed(books: int, callbacks: dict[str, Any], *, checksum: bool) -> Any:
    """cryptofeed's OKX feed for all streams of a tape with this many books."""
    names, facts = OKX._parse_symbol_data([{"data": ROWS}])
    Symbols.set(OKX.id, names, facts)
    ours = {theirs: name for name, theirs in names.items()}
    symbols = [ours[instrument] for instrument in frames.instruments(books)]
    config = {"uvloop": True, "log": {"disabled": True}}
    return OKX(config=config, symbols=symbols, channels=[*callbacks], callbacks=callbacks, checksum_validation=checksum)
