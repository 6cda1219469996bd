"""Delays: jittered over their whole width, doubled, capped."""

import random
from itertools import islice

from market_collector.net.backoff import full_jitter


def test_delays_spread_over_a_bound_that_doubles_up_to_its_cap() -> None:
    runs = [list(islice(full_jitter(1.0, 8.0, random.Random(seed)), 6)) for seed in range(500)]
    for number, bound in enumerate([1.0, 2.0, 4.0, 8.0, 8.0, 8.0]):
        delays = [run[number] for run in runs]
        assert 0.0 <= min(delays) < 0.05 * bound
        assert 0.95 * bound < max(delays) <= bound
