"""Delays: jittered over their whole width, doubled, capped."""

import random
from itertools import islice

from market_collector.errors import ConnectionFailedError
from market_collector.net.backoff import RETRY_AFTER_MAX_S, Backoff, full_jitter
from market_collector.net.rest_host import LONGEST_STOP_S


def test_delays_spread_over_a_bound_that_doubles_up_to_its_cap() -> None:
    runs = [list(islice(full_jitter(1.0, 8.0, random.Random(seed)), 6)) for seed in range(500)]
    for number, bound in enumerate([1.0, 2.0, 4.0, 8.0, 8.0, 8.0]):
        delays = [run[number] for run in runs]
        assert 0.0 <= min(delays) < 0.05 * bound
        assert 0.95 * bound < max(delays) <= bound


def refused(status: int, retry_after_s: float | None = None) -> ConnectionFailedError:
    return ConnectionFailedError("refused", status=status, retry_after_s=retry_after_s)


def test_delay_is_long_only_after_too_many_requests() -> None:
    for seed in range(100):
        backoff = Backoff(1.0, 60.0, random.Random(seed))
        assert 0.0 <= backoff.after(refused(503)) <= 1.0
        assert 30.0 <= backoff.after(refused(429)) <= 60.0


def test_retry_after_is_kept_to_with_jitter_beyond_and_within_reason() -> None:
    for seed in range(100):
        backoff = Backoff(1.0, 60.0, random.Random(seed))
        assert 7.0 <= backoff.after(refused(429, 7.0)) <= 8.0
        assert RETRY_AFTER_MAX_S <= backoff.after(refused(503, 86_400.0)) <= RETRY_AFTER_MAX_S + 2.0


def test_a_ban_is_kept_in_full() -> None:
    for seed in range(100):
        backoff = Backoff(1.0, 60.0, random.Random(seed))
        assert 30.0 <= backoff.after(refused(418)) <= 60.0
        assert 86_400.0 <= backoff.after(refused(418, 86_400.0)) <= 86_402.0
        assert backoff.after(refused(418, 1e12)) <= LONGEST_STOP_S + 60.0


def test_a_success_makes_the_next_delay_short_again() -> None:
    backoff = Backoff(0.001, 60.0, random.Random(3))
    for _ in range(20):
        backoff.after(None)
    backoff.reset()
    assert backoff.after(None) <= 0.001
