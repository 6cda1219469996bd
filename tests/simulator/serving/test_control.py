"""Truth and faults at the control address of a running simulator."""

from typing import Any

import pytest

pytestmark = pytest.mark.simulator

MARKET = ("--market", "7", "--symbols", "BTC-USDT,ETH-USDT", "--rate", "200")
QUIET = ("--market", "7", "--symbols", "BTC-USDT", "--rate", "0.001")


def is_data(channel: str) -> Any:
    return lambda message: message.get("arg", {}).get("channel") == channel and "data" in message


async def test_health_and_state_are_returned(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*QUIET)
    control, client = control_of(program), await dial(program, "business")
    await client.subscribe("candle1m:BTC-USDT", "trades-all:BTC-USDT")
    await client.messages(3)
    assert await control.get("/healthz") == {"status": "ok"}
    state = await control.get("/state")
    (connection,) = state["connections"]
    assert (connection["path"], connection["framesSent"], connection["requests"]) == ("/ws/v5/business", 3, 1)
    assert connection["subscriptions"] == [
        {"channel": "candle1m", "instId": "BTC-USDT"}, {"channel": "trades-all", "instId": "BTC-USDT"},
    ]  # fmt: skip
    assert (state["counters"]["connections"], state["counters"]["frames"]) == (1, 3)


async def test_books_rebuilt_by_a_client_are_the_truth_at_every_sequence(
    start: Any, dial: Any, control_of: Any
) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await client.subscribe("books:BTC-USDT")
    book: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for place in range(120):
        row = (await client.until(is_data("books")))["data"][0]
        for side, levels in book.items():
            levels.update({price: size for price, size, _, _ in row[side]})
            book[side] = {price: size for price, size in levels.items() if size != "0"}
        if place % 8 == 0:
            truth = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={row['seqId']}")
            assert {side: dict(truth[side]) for side in book} == book
            assert (truth["sequence"], truth["ts"]) == (row["seqId"], row["ts"])
    error = await control.get(f"/truth/book?symbol=BTC-USDT&sequence={row['seqId'] + 1_000_000}", 404)
    assert "never published" in error["error"]


async def test_all_fills_and_merged_trades_can_be_read(start: Any, dial: Any, control_of: Any) -> None:
    program = start(*MARKET)
    control, client = control_of(program), await dial(program)
    await client.subscribe("trades:BTC-USDT")
    rows = [row for _ in range(30) for row in (await client.until(is_data("trades")))["data"]]
    first, last = int(rows[0]["tradeId"]) - int(rows[0]["count"]) + 1, int(rows[-1]["tradeId"])
    fills = await control.get(f"/truth/trades?symbol=BTC-USDT&from={first}&to={last}")
    assert [int(fill["tradeId"]) for fill in fills] == list(range(first, last + 1))
    assert await control.get(f"/truth/trades/merged?symbol=BTC-USDT&from={first}&to={last}") == rows
    summary = (await control.get("/truth/summary"))["symbols"]["BTC-USDT"]
    everything = await control.get("/truth/trades?symbol=BTC-USDT")
    assert int(everything[0]["tradeId"]) == summary["firstTradeId"]
    assert int(everything[-1]["tradeId"]) >= summary["lastTradeId"]
    sequences = await control.get("/truth/sequences?symbol=BTC-USDT")
    assert [row["previous"] for row in sequences[1:]] == [row["sequence"] for row in sequences[:-1]]
    assert "is not kept" in (await control.get("/truth/trades?symbol=BTC-USDT&from=1", 404))["error"]


async def test_data_of_a_derivative_can_be_read(start: Any, dial: Any, control_of: Any) -> None:
    program = start("--market", "7", "--symbols", "BTC-USDT-SWAP,BTC-USDT", "--rate", "50")
    control, client = control_of(program), await dial(program)
    await client.subscribe("mark-price:BTC-USDT-SWAP")
    pushed = [(await client.until(is_data("mark-price")))["data"][0] for _ in range(5)]
    truth = await control.get("/truth/contract?symbol=BTC-USDT-SWAP&type=markprice")
    prices = [(str(row["ts_ms"]), row["price"]) for row in truth]
    first = prices.index((pushed[0]["ts"], pushed[0]["markPx"]))
    assert prices[first : first + 5] == [(row["ts"], row["markPx"]) for row in pushed]
    assert "is no derivative" in (await control.get("/truth/contract?symbol=BTC-USDT&type=funding", 404))["error"]
    assert "not one of" in (await control.get("/truth/contract?symbol=BTC-USDT-SWAP&type=x", 400))["error"]


async def test_swap_is_known_by_its_canonical_name_too(start: Any, dial: Any, control_of: Any) -> None:
    """OKX's own name is on the wire."""
    program = start("--market", "7", "--symbols", "BTC-USDT-PERP,BTC-USD-PERP-BTC", "--rate", "200")
    control, client = control_of(program), await dial(program)
    assert await control.post("/faults/lose", symbol="BTC-USDT-PERP", channel="trade", count=1)
    await client.subscribe("trades:BTC-USDT-SWAP", "trades:BTC-USD-SWAP")
    await client.until(lambda message: is_data("trades")(message) and message["arg"]["instId"] == "BTC-USDT-SWAP")
    for name in ("BTC-USDT-PERP", "BTC-USDT-SWAP"):
        (lost,) = await control.get(f"/truth/lost?symbol={name}")
        rows = await control.get(f"/truth/trades?symbol={name}&from={lost['firstTradeId']}")
        assert (lost["symbol"], rows[0]["instId"]) == ("BTC-USDT-SWAP", "BTC-USDT-SWAP")


async def test_unknown_symbols_and_bad_numbers_are_refused_with_a_reason(quiet: Any, control_of: Any) -> None:
    control = control_of(quiet)
    assert "it has BTC-USDT" in (await control.get("/truth/book?symbol=NO-NO&sequence=1", 404))["error"]
    assert "not an integer" in (await control.get("/truth/trades?symbol=BTC-USDT&from=x", 400))["error"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"asset": "BTC"}, "total is missing"),
        ({"asset": "BTC", "total": "x"}, "total 'x' is not a decimal number"),
        ({"asset": "BTC", "total": "-1"}, "total '-1' must be 0 or more"),
        ({"asset": "BTC", "total": "1", "frozen": "2"}, "frozen 2 is more than total 1"),
    ],
)
async def test_invalid_holdings_are_refused(quiet: Any, control_of: Any, body: dict[str, str], why: str) -> None:
    assert why in (await control_of(quiet).post("/account/holding", 400, **body))["error"]
