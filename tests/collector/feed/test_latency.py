"""Latencies are counted in the bucket they fall into."""

from market_collector.feed.latency import BOUNDS_S, LatencyHistogram


def test_each_latency_is_counted_once_in_the_smallest_bucket_that_holds_it() -> None:
    histogram = LatencyHistogram()
    for seconds in (BOUNDS_S[0], BOUNDS_S[0] + 1e-9, BOUNDS_S[-1], BOUNDS_S[-1] + 1):
        histogram.observe(seconds)
    assert (histogram.counts[0], histogram.counts[1]) == (1, 1)
    assert (histogram.counts[-2], histogram.counts[-1]) == (1, 1)
    assert sum(histogram.counts) == 4


def test_a_clock_that_is_behind_does_not_make_the_sum_smaller() -> None:
    histogram = LatencyHistogram()
    histogram.observe(0.5)
    histogram.observe(-3.0)
    assert (histogram.sum_s, histogram.last_s, sum(histogram.counts)) == (0.5, -3.0, 2)
    assert histogram.negative == 1
