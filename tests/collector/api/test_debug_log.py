"""LOG_LEVEL=DEBUG writes a file for each collector, with only the messages of that collector."""

import asyncio
import logging
from pathlib import Path

import pytest

from market_collector.api.debug_log import debug_log, file_of

log = logging.getLogger("market_collector.net.session")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    package = logging.getLogger("market_collector")
    monkeypatch.setattr(package, "level", package.level)


def test_the_file_is_named_after_exchange_and_symbol() -> None:
    assert file_of("okx", "BTC-USDT") == Path("logs/okx_collector_btc_usdt_debug.log")


@pytest.mark.parametrize("level", ["INFO", "", None])
def test_at_any_other_level_there_is_no_file(level: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if level is None:
        monkeypatch.delenv("LOG_LEVEL")
    else:
        monkeypatch.setenv("LOG_LEVEL", level)
    with debug_log(file_of("okx", "BTC-USDT")):
        log.warning("said")
    assert not Path("logs").exists()


async def test_collectors_side_by_side_have_their_own_lines() -> None:
    async def work(symbol: str) -> None:
        with debug_log(file_of("okx", symbol)):
            for number in range(3):
                log.debug("%s in the task %d", symbol, number)
                await asyncio.create_task(child(symbol, number))

    async def child(symbol: str, number: int) -> None:
        await asyncio.sleep(0)
        log.debug("%s in a child %d", symbol, number)
        await asyncio.to_thread(log.debug, "%s in a thread %d", symbol, number)

    await asyncio.gather(work("BTC-USDT"), work("ETH-USDT"))
    log.debug("nobody's")
    for symbol in ("BTC-USDT", "ETH-USDT"):
        lines = file_of("okx", symbol).read_text().splitlines()
        assert len(lines) == 9
        assert all(f"DEBUG   market_collector.net.session: {symbol} in " in line for line in lines)


def test_a_second_run_goes_on_in_the_same_file_and_no_handler_stays() -> None:
    for _ in range(2):
        with debug_log(file_of("okx", "BTC-USDT")):
            log.debug("said")
    assert len(file_of("okx", "BTC-USDT").read_text().splitlines()) == 2
    assert logging.getLogger("market_collector").handlers == []


def test_an_unwritable_file_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    Path("logs").write_text("a file stands here")
    with debug_log(file_of("okx", "BTC-USDT")):
        log.warning("the work goes on")
    assert "logs/okx_collector_btc_usdt_debug.log cannot be written" in caplog.text
    assert "the work goes on" in caplog.text
