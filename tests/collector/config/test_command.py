"""``validate`` reports ok or every error, and returns 0 or 2."""

from pathlib import Path

import pytest

from market_collector.config.command import validate

GOOD = """\
apiVersion: marketcollector.dev/v1alpha1
kind: MarketCollector
metadata: {name: okx-btc}
spec: {exchange: okx, symbol: BTC-USDT, dataTypes: [trade, orderbook, ticker]}
"""


def write(folder: Path, name: str, content: str) -> str:
    path = folder / name
    path.write_text(content)
    return str(path)


def test_a_valid_file_is_summarised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "a.yaml", GOOD)
    assert validate([path]) == 0
    assert capsys.readouterr().out == f"{path}: ok (okx-btc: okx, 1 symbol, 3 streams)\n"


def test_each_candle_interval_is_a_stream_of_each_symbol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "{exchange: okx, symbols: [A-B, C-D], dataTypes: [trade, candle], candle: {intervals: [1m, 1h]}}"
    assert validate([write(tmp_path, "a.yaml", GOOD.rpartition("spec:")[0] + f"spec: {spec}\n")]) == 0
    assert "2 symbols, 6 streams" in capsys.readouterr().out


def test_an_invalid_file_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = write(tmp_path, "a.yaml", GOOD), write(tmp_path, "b.yaml", GOOD.replace("trade", "trades"))
    assert validate([str(tmp_path / "none.yaml"), bad, good]) == 2
    output = capsys.readouterr()
    assert output.err.splitlines() == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
        f'{bad}:4: spec.dataTypes[0]: "trades" is not allowed: must be trade, orderbook, ticker, candle, quote, balance, funding, markprice, openinterest or liquidation. Did you mean trade?',
    ]
    assert output.out.startswith(f"{good}: ok")


def test_control_characters_of_a_file_reach_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = GOOD.replace("BTC-USDT", r'"\x1b[2J\u202e"').replace("dataTypes", r'"\x9bx": 1, dataTypes')
    assert validate([write(tmp_path, "a.yaml", hostile), write(tmp_path, "\x1b\udcff.yaml", GOOD)]) == 2
    output = capsys.readouterr()
    assert r"\u001b[2J\u202e" in output.err
    assert r"spec.\x9bx: unknown field" in output.err
    assert r"\x1b\udcff.yaml: ok" in output.out
    assert all(line.isprintable() for line in (output.err + output.out).split("\n"))
