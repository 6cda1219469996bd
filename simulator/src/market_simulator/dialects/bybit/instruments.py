"""Rows of `GET /v5/market/instruments-info`."""

from collections.abc import Mapping
from typing import Any

from market_simulator.dialects.bybit.symbols import SPOT, category, native
from market_simulator.dialects.bybit.tickers import FUNDING_CAP
from market_simulator.engine.contracts import FUNDING_MS
from market_simulator.engine.instruments import Instrument, kind_of


def made_instrument(symbol: str, tick: str, lot: str) -> Instrument:
    """Create an instrument; `tick` and `lot` are the steps of price and size. Sizes are in the base currency."""
    make = _spot if category(symbol) == SPOT else _linear
    return Instrument(symbol, kind_of(symbol), make(symbol, tick, lot))


def _spot(symbol: str, tick: str, lot: str) -> Mapping[str, Any]:
    base, quote = symbol.split("-")
    return {
        "symbolId": 1, "symbol": native(symbol), "baseCoin": base, "quoteCoin": quote, "innovation": "0",
        "status": "Trading", "marginTrading": "utaOnly", "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": lot, "quotePrecision": "0.0000001", "minOrderQty": lot, "maxOrderQty": "1000",
            "minOrderAmt": "5", "maxOrderAmt": "1999999999", "maxLimitOrderQty": "1000", "maxMarketOrderQty": "1000",
            "postOnlyMaxLimitOrderSize": "1100",
        },
        "priceFilter": {"tickSize": tick},
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.05"},
        "symbolType": "", "xstockMultiplier": "1",
    }  # fmt: skip


def _linear(symbol: str, tick: str, lot: str) -> Mapping[str, Any]:
    base, quote, _ = symbol.split("-")
    return {
        "symbol": native(symbol), "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": base,
        "quoteCoin": quote, "launchTime": "1584230400000", "deliveryTime": "0", "deliveryFeeRate": "",
        "priceScale": "2", "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": "1190", "minOrderQty": lot, "qtyStep": lot, "postOnlyMaxOrderQty": "1190",
            "maxMktOrderQty": "500", "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True, "fundingInterval": FUNDING_MS // 60_000, "settleCoin": quote,
        "copyTrading": "both", "upperFundingRate": FUNDING_CAP, "lowerFundingRate": f"-{FUNDING_CAP}", "isPreListing": False, "preListingInfo": None,
        "symbolType": "",
    }  # fmt: skip
