"""Faults of an exchange, as calls of the simulator's control address, and their visible effects on a collector."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from exchange_words import ExchangeWords
from simulator_process import Simulator

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One fault with its visible effects."""

    name: str
    calls: Sequence[Call]
    shows: Sequence[str] = ()
    """Counters of the status that it increases."""

    def happen(self, exchange: Simulator) -> None:
        """Inject the fault."""
        for fault, body in self.calls:
            exchange.post(f"/faults/{fault}", body)


TRADES, BOOKS, TICKERS, CANDLES = ({"channel": name} for name in ("trade", "orderbook", "ticker", "candle"))
GAP, REPAIRED, RESYNC, AGAIN = ("gapsDetected",), ("gapsRepaired", "recoveredTrades"), ("resyncs",), ("reconnections",)
UNREADABLE = ("unreadableFrames",)
CUT: Call = ("drop", {})
LOSE: Call = ("lose", TRADES | {"count": 30})
SKEW_NS = 5_000_000_000
"""By how much the clock of an exchange is wrong in the cases here."""


def connections(words: ExchangeWords) -> list[Case]:
    """Faults of connections."""
    return [
        Case("drop", [CUT], AGAIN),
        *(Case(f"drop-{code}", [("drop", {"code": code})], AGAIN) for code in words.close_codes),
        Case("drop-public", [("drop", {"path": words.public_path})], AGAIN),
        Case("reset", [("reset", {})], AGAIN),
        Case("half-open-tcp", [("half-open", {"stage": "tcp", "seconds": 1.5}), CUT], AGAIN),
        Case("half-open-handshake", [("half-open", {"stage": "handshake", "count": 2}), CUT], AGAIN),
        Case("half-open-established", [("half-open", {"stage": "established", "seconds": 4})], AGAIN),
        *(Case(f"refuse-{status}", [("refuse", {"status": status, "count": 2}), CUT], AGAIN) for status in (403, 429, 503)),
        Case("slow-write", [("slow-write", {"bytesPerSecond": 20_000, "seconds": 2})]),
        Case("slow-read", [("slow-read", {"bytesPerSecond": 20, "seconds": 2})]),
        Case("notice", [("notice", {"seconds": 2})], AGAIN),
        Case("raw", [("raw", {"frame": "hello"})], UNREADABLE),
    ]  # fmt: skip


def subscriptions(words: ExchangeWords) -> list[Case]:
    """Refused requests, and those without an answer."""
    refused, unknown = (
        {"code": words.temporary_error, "count": 3},
        {"code": words.permanent_error, "arg": True, "count": 2},
    )
    return [
        Case("subscribe-error", [("subscribe-error", refused), CUT], AGAIN),
        Case("subscribe-error-arg", [("subscribe-error", unknown), CUT], AGAIN),
        Case("stuck-subscribe", [("stuck-subscribe", {"count": 1}), CUT], AGAIN),
    ]  # fmt: skip


MESSAGES = [
    Case("lose-trades", [LOSE], REPAIRED),
    Case("lose-books", [("lose", BOOKS | {"count": 1})], RESYNC),
    Case("lose-candles", [("lose", CANDLES | {"seconds": 2.5})], GAP),
    Case("lose-some", [("lose", {"chance": 0.2, "seed": 3, "seconds": 1})], GAP),
    Case("duplicate", [("duplicate", {"count": 300})], ("duplicates",)),
    Case("reorder-trades", [("reorder", TRADES | {"count": 5})], REPAIRED),
    Case("reorder-books", [("reorder", BOOKS | {"count": 3})], RESYNC),
    *(Case(f"corrupt-{damage}", [("corrupt", {"damage": damage, "count": 8})], UNREADABLE) for damage in ("json", "value", "utf8")),
    Case("corrupt-frame", [("corrupt", TRADES | {"damage": "frame", "count": 1})], AGAIN),
    Case("truncate-text", [("truncate", {"cut": "text", "count": 8})], UNREADABLE),
    Case("truncate-frame", [("truncate", BOOKS | {"cut": "frame", "count": 1})], AGAIN),
    Case("silence-trades", [("silence", TRADES | {"seconds": 3})], REPAIRED),
    Case("silence-books", [("silence", BOOKS | {"seconds": 2})], RESYNC),
    Case("silence-tickers", [("silence", TICKERS | {"seconds": 3})]),
    Case("silence-all", [("silence", {"seconds": 3})], AGAIN),
    Case("latency", [("latency", {"milliseconds": 700, "seconds": 1.5})]),
    Case("latency-trades", [("latency", TRADES | {"milliseconds": 1500, "seconds": 1})]),
    Case("skew-ahead", [("skew", {"milliseconds": 5000, "seconds": 1.5}), LOSE], REPAIRED),
    Case("skew-behind", [("skew", {"milliseconds": -5000, "seconds": 1.5}), LOSE], REPAIRED),
]  # fmt: skip


def rest(words: ExchangeWords) -> list[Case]:
    """Faults of the REST API."""
    history = {"path": words.trade_history}
    old_snapshots = {"path": words.book_snapshots, "stale": 400, "count": 3}
    return [
        Case("rest-429", [("rest", history | {"status": 429, "count": 2}), LOSE], REPAIRED),
        Case("rest-500", [("rest", {"status": 500, "count": 2}), LOSE], REPAIRED),
        Case("rest-timeout", [("rest", history | {"timeout": 3, "count": 1}), LOSE], REPAIRED),
        Case("rest-stale", [("rest", history | {"stale": 400, "count": 3}), LOSE], REPAIRED),
        Case("rest-empty", [("rest", history | {"first": 0, "count": 3}), LOSE], REPAIRED),
        Case("rest-partial", [("rest", history | {"every": 3, "count": 2}), LOSE], REPAIRED),
        *([Case("rest-old-snapshots", [("rest", old_snapshots), CUT], AGAIN)] if words.book_snapshots else []),
    ]


def market(words: ExchangeWords) -> list[Case]:
    """Events of the market itself."""
    of_symbol = {"symbol": words.symbol}
    return [
        *([Case("sequence-reset", [("sequence-reset", of_symbol)])] if words.has_restarts else []),
        Case("sequence-jump", [("sequence-jump", of_symbol)], RESYNC),
        Case("crossed", [("crossed", of_symbol | {"seconds": 3})], RESYNC),
        Case("crossed-briefly", [("crossed", of_symbol | {"seconds": 0.3})]),
        Case("crossed-in-an-auction", [("crossed", of_symbol | {"seconds": 3, "preopen": True})]),
    ]


def gap_of_trades(words: ExchangeWords) -> Call:
    """A fault that leaves a gap of trades while the connection goes on."""
    return LOSE if words.has_dense_ids else ("corrupt", TRADES | {"damage": "json", "count": 1})


def messages(words: ExchangeWords) -> list[Case]:
    """Lost, repeated, late and damaged messages."""
    return [case_of(words, case) for case in MESSAGES]


def case_of(words: ExchangeWords, case: Case) -> Case:
    """The case with its effects at this exchange.

    Candles of minutes are seldom among the lost messages. Without dense ids, a lost message of trades shows nothing,
    so a cut connection takes its place before a backfill.
    """
    if case.name == "lose-candles" and words.interval != "1s":
        return replace(case, shows=())
    if words.has_dense_ids:
        return case
    loses = case.name.startswith(("rest-", "skew-"))
    calls = [CUT if call == LOSE and loses else call for call in case.calls]
    shows = AGAIN if loses else () if set(case.shows) & {*GAP, *REPAIRED} else case.shows
    return Case(case.name, calls, shows)


def cases(words: ExchangeWords) -> list[Case]:
    """All faults."""
    of_rest = [case_of(words, case) for case in rest(words)]
    return [*connections(words), *subscriptions(words), *messages(words), *of_rest, *market(words)]
