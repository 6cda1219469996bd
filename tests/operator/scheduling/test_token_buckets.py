from market_operator.scheduling.token_buckets import TokenBuckets


def test_tokens_come_back_one_at_a_time() -> None:
    buckets = TokenBuckets(2, 10.0)
    for _ in range(2):
        assert buckets.wait("a", 100.0) == 0.0
        buckets.take("a", 100.0)
    assert (buckets.wait("a", 100.0), buckets.wait("a", 110.0)) == (10.0, 0.0)
    assert buckets.wait("b", 100.0) == 0.0


def test_full_and_forgotten_buckets_take_no_memory() -> None:
    buckets = TokenBuckets(2, 10.0)
    for number in range(1000):
        buckets.take(str(number), float(number))
    assert len(buckets) <= 11
    buckets.forget("999")
    assert len(buckets) <= 10
