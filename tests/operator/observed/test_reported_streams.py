from hypothesis import given
from hypothesis import strategies as st

from market_operator.observed.reported_streams import DETAILED, REASONS_LIMIT, STREAMS_LIMIT, Stream, pack

STATES = ("live", "quiet", "pending", "unknown", "stale", "refused")
KINDS = st.tuples(
    st.sampled_from(STATES),
    st.sampled_from(["", "2026-11-22T10:00:02Z"]),
    st.sampled_from(["", "NoData"]),  # with the states, fewer pairs than REASONS_LIMIT
    st.sampled_from(["", "the exchange's words"]),
)
STREAMS = st.lists(KINDS, max_size=100).map(
    lambda kinds: [Stream(f"S{37 * number % 101:03d}-USDT/trade", *kind) for number, kind in enumerate(kinds)]
)


def long(number: int, state: str = "stale", reason: str = "NoData") -> Stream:
    return Stream(f"S{number:04d}-USDT/trade", state, "2026-11-22T10:00:02Z", reason, "x" * 300)


@given(streams=STREAMS)
def test_packed_streams_keep_their_names_states_and_reasons(streams: list[Stream]) -> None:
    packed = pack(streams)
    assert len(packed) == len(streams)
    assert sorted((each.name, each.state, each.reason) for each in packed) == sorted(
        (each.name, each.state, each.reason) for each in streams
    )


@given(streams=STREAMS)
def test_the_first_streams_of_each_state_keep_their_words(streams: list[Stream]) -> None:
    """The status names the first 20 streams that do not deliver, and in each message the first five."""
    packed = {each.name: each for each in pack(streams)}
    for state in STATES[1:]:
        first = sorted(each for each in streams if each.state == state)[:DETAILED]
        assert [packed[each.name] for each in first] == first
    unhealthy = sorted(each for each in streams if each.state not in ("live", "quiet"))[:DETAILED]
    assert [packed[each.name] for each in unhealthy] == unhealthy


def test_streams_of_all_symbols_and_types_take_little_memory() -> None:
    stale = pack(map(long, range(STREAMS_LIMIT)))
    assert len(stale) == STREAMS_LIMIT
    assert len(stale.detailed) == DETAILED
    assert stale.size < STREAMS_LIMIT * 70


def test_more_streams_and_reasons_than_a_resource_has_are_dropped() -> None:
    packed = pack(long(number, reason=f"reason {number}") for number in range(2 * STREAMS_LIMIT))
    assert len(packed) == STREAMS_LIMIT
    assert len({each.reason for each in packed}) == REASONS_LIMIT + 1
    assert len(packed.detailed) <= DETAILED + REASONS_LIMIT


def test_a_stream_that_comes_twice_counts_once() -> None:
    assert [each.state for each in pack([long(1), long(1)])] == ["stale"]
