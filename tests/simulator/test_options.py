from fractions import Fraction
from pathlib import Path

import pytest

from market_simulator import __version__
from market_simulator.options import Address, BadArgumentsError, parse, start_us

MARKET = ["serve", "--exchange", "okx", "--market", "7", "--symbols", "BTC-USDT, ETH-USDT"]
REPLAY = ["serve", "--exchange", "okx", "--replay", "a.jsonl", "b.jsonl"]


def test_a_market_has_symbols_and_a_rate() -> None:
    options = parse([*MARKET, "--rate", "0.5"])
    assert (options.market, options.symbols, options.rate) == ("7", ("BTC-USDT", "ETH-USDT"), Fraction(1, 2))
    assert (options.listen, options.control) == (Address("127.0.0.1", 8443), Address("127.0.0.1", 8444))


def test_a_replay_has_files_and_a_speed() -> None:
    assert parse(REPLAY).replay == (Path("a.jsonl"), Path("b.jsonl"))
    assert parse(REPLAY).speed == 1
    assert parse([*REPLAY, "--speed", "2.5"]).speed == Fraction(5, 2)
    assert parse([*REPLAY, "--speed", "max"]).speed is None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["serve", "--exchange", "okx", "--market", "7"], "--market needs --symbols"),
        ([*MARKET, "--speed", "2"], "--speed belongs to --replay"),
        ([*MARKET, "--rate", "0"], "--rate '0' must be above 0"),
        ([*MARKET, "--rate", "fast"], "--rate 'fast' is not a number"),
        ([*REPLAY, "--speed", "-1"], "must be above 0"),
        ([*REPLAY, "--symbols", "A-B"], "--symbols belongs to --market"),
        ([*REPLAY, "--listen", "localhost"], "is not HOST:PORT"),
        ([*REPLAY, "--control", "localhost:99999"], "is not HOST:PORT"),
        ([*REPLAY, "--tls-cert", "c.pem"], "belong together"),
        ([*REPLAY, "--keep-trades", "0"], "--keep-trades must be 1 or more"),
    ],
)
def test_invalid_arguments_are_explained(arguments: list[str], why: str) -> None:
    with pytest.raises(BadArgumentsError, match=why):
        parse(arguments)


@pytest.mark.parametrize("arguments", [[], ["serve"], ["serve", "--exchange", "nyse"], [*MARKET, "--replay", "x"]])
def test_bad_usage_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_start_is_the_default_now_or_the_given_time() -> None:
    assert start_us(None, 5, 9) == 5
    assert start_us("now", 5, 9) == 9
    assert start_us("2026-01-01T00:00:00Z", 5, 9) == start_us("2026-01-01", 5, 9) == 1_767_225_600_000_000
    with pytest.raises(BadArgumentsError, match="neither `now` nor a moment"):
        start_us("soon", 5, 9)


def test_addresses_become_urls() -> None:
    assert Address("::1", 0).url("ws", 8443) == "ws://[::1]:8443"
    assert parse([*REPLAY, "--listen", ":80"]).listen.host == "0.0.0.0"


def test_the_version_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"market-simulator {__version__}\n")
