"""Short timeouts of the collector for all tests of faults."""

from collections.abc import Iterator

import pytest

from market_collector.exchanges.binance import errors
from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.binance.markets import BUDGETS
from market_collector.exchanges.bybit import answers
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.interface import Budget, Heartbeat, HeartbeatKind
from market_collector.exchanges.okx import rest
from market_collector.feed import retries, subscription
from market_collector.net import http_client


@pytest.fixture(scope="session", autouse=True)
def _impatience() -> Iterator[None]:
    """Shorten waits that are right for an exchange but too long for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "RETRY_S", (0.2, 0.5, 1.0))
        patch.setattr(subscription, "RETRY_S", (0.3, 0.6, 1.0))
        patch.setattr(subscription, "REFUSED_RETRY_S", 1.0)
        patch.setattr(http_client, "TIMEOUT_S", 1.0)
        patch.setattr(rest, "BUSY_PAUSE_S", 0.5)
        patch.setattr(errors, "BUSY_PAUSE_S", 0.5)
        patch.setattr(answers, "BUSY_PAUSE_S", 0.5)
        beat = Heartbeat(ping=Bybit.heartbeat.ping, max_interval_s=1.0, always=True, dead_after_s=1.5)
        patch.setattr(Bybit, "heartbeat", beat)
        patch.setattr(Binance.rest_api, "budgets", dict.fromkeys(BUDGETS, Budget(1_000.0, 10_000.0)))
        patch.setattr(Binance, "heartbeat", Heartbeat(HeartbeatKind.CONTROL_FRAMES, dead_after_s=2.0))
        yield
