from market_simulator.engine.events import NO_LEVELS, BookChange, Level, TradeRow


def test_a_merged_trade_knows_its_first_fill() -> None:
    row = TradeRow(107, "1", "3", ("1", "1", "1"), "buy", "0", 5, 9)
    assert row.first_id == 105


def test_only_an_empty_change_with_an_unchanged_sequence_changes_nothing() -> None:
    some = (Level(1, "1", "1", "1"),)
    assert BookChange(0, "X", 0, NO_LEVELS, NO_LEVELS, 5, 5, 0).is_no_change
    assert not BookChange(0, "X", 0, NO_LEVELS, NO_LEVELS, 6, 5, 0).is_no_change
    assert not BookChange(0, "X", 0, some, NO_LEVELS, 5, 5, 0).is_no_change
