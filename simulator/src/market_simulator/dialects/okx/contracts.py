"""The channels of OKX's derivatives: mark-price, open-interest, funding-rate and liquidation-orders."""

from collections.abc import Container, Mapping
from decimal import Decimal
from typing import Any

from market_simulator.dialects.okx import protocol
from market_simulator.engine.contracts import FUNDING_MS, Contract, History, Interest, Liquidation, Mark, Rate
from market_simulator.engine.events import Key
from market_simulator.engine.quantities import plain
from market_simulator.engine.venue import Board

_SECOND_US = 1_000_000


def row(board: Board, channel: str, lag: int = 0) -> str | None:
    """The present row of a channel, or the one before the last `lag` changes. None before the first one."""
    head = {"instId": board.instrument.id, "instType": board.instrument.kind}
    match None if board.contract is None else _histories(board.contract)[channel].newest(lag):
        case Mark(ts_ms=ts_ms, price=price):
            return protocol.compact({**head, "markPx": price, "ts": str(ts_ms)})
        case Interest() as interest:
            return protocol.compact({**head, **_amounts(board, interest), "ts": str(interest.ts_ms)})
        case Rate() as rate:
            return protocol.compact({**head, **_funding(rate), "ts": str(rate.ts_ms)})
    return None


def _histories(contract: Contract) -> Mapping[str, History[Any]]:
    return {"mark-price": contract.marks, "open-interest": contract.interests, "funding-rate": contract.rates}


def _amounts(board: Board, interest: Interest) -> dict[str, str]:
    """Contracts, base currency and dollars."""
    base, quote = board.instrument.turnover(Decimal(interest.price), interest.contracts)
    return {"oi": plain(interest.contracts), "oiCcy": plain(base), "oiUsd": plain(quote)}


def _funding(rate: Rate) -> dict[str, str]:
    return {
        "formulaType": "withRate", "fundingRate": rate.rate, "fundingTime": str(rate.due_ms),
        "method": "current_period", "nextFundingRate": "", "nextFundingTime": str(rate.due_ms + FUNDING_MS),
        "prevFundingTime": str(rate.due_ms - FUNDING_MS), "settFundingRate": rate.settled, "settState": "settled",
    }  # fmt: skip


class ContractPublisher:
    """The pushes of one instrument."""

    def __init__(self, board: Board, contract: Contract, recorded: Container[Key]) -> None:
        self._board, self._contract = board, contract
        keys = {channel: Key(channel, board.instrument.id) for channel in protocol.CONTRACT_CHANNELS}
        self._keys = {channel: key for channel, key in keys.items() if key not in recorded}
        self._liquidations = Key(protocol.LIQUIDATIONS, board.instrument.kind)
        self._pushed = dict.fromkeys(self._keys, 0)  # facts that were pushed by channel
        self._seen = 0  # liquidations

    def tick(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Push what is new, and once a second the largest liquidation since the last one."""
        pushes = [push for channel in self._keys for push in self._new(channel, wanted)]
        return pushes + (self._liquidation(wanted) if time_us % _SECOND_US == 0 else [])

    def _new(self, channel: str, wanted: Container[Key]) -> list[tuple[Key, str]]:
        key, count = self._keys[channel], _histories(self._contract)[channel].count
        is_new, self._pushed[channel] = count > self._pushed[channel], count
        text = row(self._board, channel) if is_new and key in wanted else None
        return [] if text is None else [(key, protocol.push(key, text))]

    def _liquidation(self, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Push one liquidation a second: OKX does not report the others."""
        new = self._contract.liquidations.after(self._seen)
        self._seen = self._contract.liquidations.count
        if not new or self._liquidations not in wanted:
            return []
        largest = max(new, key=lambda each: float(each.contracts))
        return [(self._liquidations, protocol.push(self._liquidations, self._row(largest)))]

    def _row(self, liquidation: Liquidation) -> str:
        name = self._board.instrument.id
        family = "-".join(name.split("-")[:2])
        detail = {
            "bkLoss": "0", "bkPx": liquidation.price, "ccy": "",
            "posSide": "long" if liquidation.side == "sell" else "short", "side": liquidation.side,
            "sz": liquidation.contracts, "ts": str(liquidation.ts_ms),
        }  # fmt: skip
        kind = self._board.instrument.kind
        return protocol.compact(
            {"details": [detail], "instFamily": family, "instId": name, "instType": kind, "uly": family}
        )
