"""The same levels in the format of each exchange."""

import msgspec
import pytest
from bench import dialects, frames, levels
from bench.dialects import NAMES, ExchangeName


def book_states(loops: int) -> list[dialects.State]:
    return list(dialects.states(frames.messages("sequence", range(loops)), dialects.INSTRUMENT))


@pytest.mark.parametrize("exchange", NAMES)
def test_each_update_of_a_looped_tape_is_one_record(exchange: ExchangeName) -> None:
    assert levels.Tape(exchange, 2).read() > 0


@pytest.mark.parametrize("exchange", NAMES)
def test_lost_update_of_a_tape_is_found(exchange: ExchangeName) -> None:
    tape = levels.Tape(exchange, 1)
    del tape._updates[5]
    with pytest.raises(levels.SurpriseError, match="records"):
        tape.read()


def test_updates_are_numbered_without_a_gap_and_have_levels() -> None:
    states = book_states(2)
    assert [each.number for each in states] == list(range(dialects.SNAPSHOT, dialects.SNAPSHOT + 195))
    assert all(each.bids or each.asks for each in states)


def test_snapshot_of_binance_limits_both_sides_beyond_all_updates() -> None:
    snapshot = msgspec.json.decode(dialects.snapshot_and_updates("binance", 1)[0])
    assert [len(snapshot[side]) for side in ("bids", "asks")] == [dialects.BINANCE_LEVELS] * 2
    lowest, highest = float(snapshot["bids"][-1][0]), float(snapshot["asks"][-1][0])
    updates = [each for each in book_states(1) if each.number > dialects.SNAPSHOT]
    assert all(float(price) >= lowest for each in updates for price, _ in each.bids)
    assert all(float(price) <= highest for each in updates for price, _ in each.asks)
