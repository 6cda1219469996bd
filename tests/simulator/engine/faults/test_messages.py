import json
from dataclasses import replace

import pytest

from market_simulator.dialects.okx.words import WORDS
from market_simulator.engine.events import Key
from market_simulator.engine.faults.messages import (
    Corrupt,
    Cut,
    Damage,
    Duplicate,
    Kind,
    Latency,
    Lose,
    Outgoing,
    Reorder,
    Silence,
    Skew,
    Truncate,
    Wire,
    WrongChecksum,
)  # fmt: skip
from market_simulator.engine.faults.turns import Stream, Turns

KEY = Key("books", "A-B")
BOOK = (
    '{"arg":{"channel":"books","instId":"A-B"},"action":"update","data":[{"asks":[["8476.98","415","0","13"]],'
    '"bids":[],"ts":"1597026383085","checksum":-855196043,"seqId":12,"prevSeqId":11}]}'
)
TRADE = (
    '{"arg":{"channel":"trades","instId":"A-B"},"data":[{"instId":"A-B","tradeId":"7","px":"64040.2","sz":"0.1",'
    '"side":"buy","ts":"1786538760218","source":"0","seqId":5}]}'
)
CANDLE = '{"arg":{"channel":"candle1m","instId":"A-B"},"data":[["1786538760000","1","2","1","2","3","4","4","0"]]}'
PONG = Outgoing(Kind.REPLY, None, "pong")


def push(text: str = BOOK, key: Key = KEY, kind: Kind = Kind.PUSH) -> Outgoing:
    return Outgoing(kind, key, text)


def pushes(count: int) -> list[Outgoing]:
    return [push(str(number)) for number in range(count)]


def test_lost_messages_reach_nobody_and_others_are_not_touched() -> None:
    lose = Lose(Stream("books", "A-B"), Turns(2))
    others = [push(key=Key("books", "C-D")), push(key=Key("trades", "A-B")), push(kind=Kind.PRESENT), PONG]
    assert [lose.outgoing(0.0, other) for other in others] == [(other,) for other in others]
    assert [lose.outgoing(0.0, push()) for _ in range(3)] == [(), (), (push(),)]


def test_lose_without_a_symbol_affects_all_symbols() -> None:
    lose = Lose(Stream("books"), Turns(2))
    assert [lose.outgoing(0.0, push(key=Key("books", name))) for name in ("A-B", "C-D")] == [(), ()]


def test_duplicated_messages_come_twice() -> None:
    duplicate = Duplicate(Stream("books"), Turns(1))
    assert duplicate.outgoing(0.0, push()) == (push(), push())
    assert duplicate.outgoing(0.0, push()) == (push(),)


def test_reordered_messages_come_in_reverse_once_all_are_there() -> None:
    reorder, messages = Reorder(Stream("books"), Turns(3, after=1)), pushes(6)
    sent = [reorder.outgoing(0.0, message) for message in messages]
    assert sent == [(messages[0],), (), (), (messages[3], messages[2], messages[1]), (messages[4],), (messages[5],)]
    assert not reorder.held


def test_messages_held_beyond_the_time_come_before_the_next_one() -> None:
    reorder, messages = Reorder(Stream("books"), Turns(5, until=1.0)), pushes(3)
    assert [reorder.outgoing(0.5, message) for message in messages[:2]] == [(), ()]
    assert reorder.outgoing(1.5, messages[2]) == (messages[1], messages[0], messages[2])


@pytest.mark.parametrize("text", [BOOK, TRADE, CANDLE])
@pytest.mark.parametrize("seed", range(25))
def test_corrupt_message_is_invalid_json_at_any_damaged_position(text: str, seed: int) -> None:
    corrupt = Corrupt(Stream(), Turns(1, seed=str(seed)), Damage.JSON, WORDS)
    (sent,) = corrupt.outgoing(0.0, push(text))
    assert len(sent.text) == len(text)
    assert sent.is_spoilt
    with pytest.raises(ValueError, match=r"line 1"):
        json.loads(sent.text)


def test_the_same_seed_hits_the_same_character() -> None:
    def hit(seed: str) -> str:
        return Corrupt(Stream(), Turns(1, seed=seed), Damage.JSON, WORDS).outgoing(0.0, push())[0].text

    assert hit("1") == hit("1")
    assert len({hit(str(seed)) for seed in range(20)}) > 5


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        (BOOK, '[["8476.98"', '[["x476.98"'),
        (TRADE, '"px":"64040.2"', '"px":"x4040.2"'),
        (CANDLE, '[["1786538760000"', '[["x786538760000"'),
    ],
)
def test_a_corrupt_value_leaves_json_that_means_nothing(text: str, good: str, bad: str) -> None:
    (sent,) = Corrupt(Stream(), Turns(1), Damage.VALUE, WORDS).outgoing(0.0, push(text))
    assert sent.text == text.replace(good, bad)
    assert json.loads(sent.text)


def test_a_book_push_without_levels_has_its_time_corrupted() -> None:
    empty = BOOK.replace('["8476.98","415","0","13"]', "")
    (sent,) = Corrupt(Stream(), Turns(1), Damage.VALUE, WORDS).outgoing(0.0, push(empty))
    assert '"ts":"x597026383085"' in sent.text


def test_bytes_and_frames_can_be_broken() -> None:
    for damage, wire in ((Damage.UTF8, Wire.NOT_UTF8), (Damage.FRAME, Wire.BROKEN)):
        assert Corrupt(Stream(), Turns(1), damage, WORDS).outgoing(0.0, push()) == (
            replace(push(), wire=wire, is_spoilt=True),
        )


def test_a_truncated_message_is_half_a_text_or_half_a_frame() -> None:
    (text,) = Truncate(Stream(), Turns(1), Cut.TEXT).outgoing(0.0, push())
    (frame,) = Truncate(Stream(), Turns(1), Cut.FRAME).outgoing(0.0, push())
    assert (text.text, text.wire) == (BOOK[: len(BOOK) // 2], Wire.TEXT)
    assert (frame.text, frame.wire) == (BOOK, Wire.HALF)


def test_a_checksum_is_made_wrong_only_where_there_is_one() -> None:
    wrong, none = WrongChecksum(Stream(), Turns(1), WORDS), push(BOOK.replace("-855196043", "0"))
    assert wrong.outgoing(0.0, none) == (none,)
    (sent,) = wrong.outgoing(0.0, push())
    assert json.loads(sent.text)["data"][0]["checksum"] not in (0, -855196043)
    assert wrong.outgoing(0.0, push()) == (push(),)


def test_a_checksum_of_one_is_not_made_none() -> None:
    (sent,) = WrongChecksum(Stream(), Turns(1), WORDS).outgoing(0.0, push(BOOK.replace("-855196043", "1")))
    assert json.loads(sent.text)["data"][0]["checksum"] == 2


def test_silence_is_for_a_time_and_covers_pongs() -> None:
    silence = Silence(Stream(), Turns(until=10.0))
    assert [silence.outgoing(now, PONG) for now in (9.9, 10.0)] == [(), (PONG,)]


def test_silence_of_one_stream_lets_others_and_replies_pass() -> None:
    silence = Silence(Stream("books", "A-B"), Turns(until=10.0))
    assert silence.outgoing(0.0, push()) == silence.outgoing(0.0, push(kind=Kind.PRESENT)) == ()
    for other in (push(key=Key("trades", "A-B")), PONG, Outgoing(Kind.REPLY, KEY, "acknowledged")):
        assert silence.outgoing(0.0, other) == (other,)


def test_late_messages_say_how_late_and_two_delays_add_up() -> None:
    late = Latency(Stream("books"), Turns(until=10.0), 0.25)
    (sent,) = late.outgoing(0.0, push())
    assert late.outgoing(0.0, sent) == (replace(push(), late=0.5),)
    assert late.outgoing(0.0, PONG) == (PONG,)
    assert Latency(Stream(), Turns(until=10.0), 0.25).outgoing(0.0, PONG)[0].late == 0.25


def test_a_wrong_clock_shifts_the_times_of_pushes_and_nothing_else() -> None:
    skew = Skew(Turns(until=10.0), -2.5, WORDS)
    assert skew.outgoing(0.0, push())[0].text == BOOK.replace("1597026383085", "1597026380585")
    assert skew.outgoing(0.0, push(CANDLE))[0].text == CANDLE
    assert skew.outgoing(0.0, PONG) == (PONG,)
    assert skew.outgoing(10.0, push()) == (push(),)
