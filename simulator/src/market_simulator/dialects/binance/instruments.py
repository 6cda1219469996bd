"""Rows of `GET /api/v3/exchangeInfo`."""

from market_simulator.dialects.binance import futures
from market_simulator.dialects.binance.frames import PERPETUAL, eight, native
from market_simulator.engine.instruments import Instrument


def made_instrument(symbol: str, tick: str, lot: str) -> Instrument:
    """Create an instrument; `tick` and `lot` are the steps of price and size."""
    if symbol.endswith(PERPETUAL):
        return futures.made_instrument(symbol, tick, lot)
    base, _, quote = symbol.partition("-")
    row = {
        "symbol": native(symbol), "status": "TRADING", "baseAsset": base, "baseAssetPrecision": 8,
        "quoteAsset": quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8, "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "icebergAllowed": True,
        "ocoAllowed": True, "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": eight(tick), "maxPrice": "1000000.00000000",
             "tickSize": eight(tick)},
            {"filterType": "LOT_SIZE", "minQty": eight(lot), "maxQty": "9000.00000000", "stepSize": eight(lot)},
        ],
        "permissions": [], "permissionSets": [["SPOT"]],
    }  # fmt: skip
    return Instrument(symbol, "SPOT", row)
