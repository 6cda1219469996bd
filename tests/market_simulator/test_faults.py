from market_simulator.events import Key
from market_simulator.faults import Faults, Kind, Lose, Outgoing, Refuse, Silence


def push(channel: str = "trades", instrument: str = "A-B", kind: Kind = Kind.PUSH) -> Outgoing:
    return Outgoing(kind, Key(channel, instrument), "text")


PONG = Outgoing(Kind.REPLY, None, "pong")


def test_without_faults_everything_passes() -> None:
    assert Faults().outgoing(0.0, push()) == (push(),)
    assert Faults().refusal(0.0) is None


def test_so_many_messages_of_one_stream_are_lost_and_no_other() -> None:
    faults = Faults([Lose("trades", "A-B", 2)])
    assert faults.outgoing(0.0, push("books")) == (push("books"),)
    assert faults.outgoing(0.0, push(instrument="C-D")) == (push(instrument="C-D"),)
    assert faults.outgoing(0.0, push(kind=Kind.PRESENT)) == (push(kind=Kind.PRESENT),)
    assert [faults.outgoing(0.0, push()) for _ in range(3)] == [(), (), (push(),)]


def test_losing_without_a_symbol_loses_of_all_symbols() -> None:
    faults = Faults([Lose("trades", None, 2)])
    assert [faults.outgoing(0.0, push(instrument=name)) for name in ("A-B", "C-D")] == [(), ()]


def test_silence_is_for_a_time_and_covers_pongs() -> None:
    faults = Faults([Silence(10.0, None, None)])
    assert faults.is_mute(9.9)
    assert faults.outgoing(9.9, PONG) == ()
    assert not faults.is_mute(10.0)
    assert faults.outgoing(10.0, PONG) == (PONG,)


def test_silence_of_one_stream_lets_others_and_replies_pass() -> None:
    faults = Faults([Silence(10.0, "trades", "A-B")])
    assert not faults.is_mute(0.0)
    assert faults.outgoing(0.0, push()) == ()
    assert faults.outgoing(0.0, push("books")) == (push("books"),)
    assert faults.outgoing(0.0, PONG) == (PONG,)
    acknowledgement = Outgoing(Kind.REPLY, Key("trades", "A-B"), "ack")
    assert faults.outgoing(0.0, acknowledgement) == (acknowledgement,)


def test_handshakes_are_refused_for_a_time() -> None:
    faults = Faults([Refuse(5.0, 503)])
    assert [faults.refusal(at) for at in (0.0, 4.9, 5.0)] == [503, 503, None]
    assert faults.outgoing(0.0, push()) == (push(),)


def test_faults_add_up_and_can_be_ended() -> None:
    faults = Faults([Lose("trades", None, 1), Lose("trades", None, 1), Silence(10.0, "books", None)])
    assert [faults.outgoing(0.0, push()) for _ in range(3)] == [(), (), (push(),)]
    assert faults.clear() == 2 - 1
    assert faults.outgoing(0.0, push("books")) == (push("books"),)
