"""Example 2: no fill is lost or duplicated over a reconnect."""

from itertools import islice

from conftest import Exchange
from plain_client import TradeClient


def test_no_fill_is_lost_over_a_reconnect(okx: Exchange) -> None:
    client, fills = TradeClient(okx.listen, okx.rest, "BTC-USDT"), []
    for place, fill in enumerate(islice(client.fills(), 400)):
        fills.append(fill)
        if place == 100:
            okx.fault("refuse", status=503, count=2)
            okx.fault("drop")  # the connection ends without a close frame; the next two are refused
        if place == 200:
            okx.fault("lose", channel="trades-all", symbol="BTC-USDT", count=3)
            okx.fault("duplicate", channel="trades-all", symbol="BTC-USDT", count=3)

    truth = okx.get(f"/truth/trades?symbol=BTC-USDT&from={fills[0]['tradeId']}&to={fills[-1]['tradeId']}")
    assert [identity(fill) for fill in fills] == [identity(fill) for fill in truth]
    assert client.reconnections == 3
    assert client.backfilled >= sum(row["lastTradeId"] - row["firstTradeId"] + 1 for row in okx.get("/truth/lost"))


def identity(fill: dict[str, str]) -> list[str]:
    return [fill[name] for name in ("tradeId", "px", "sz", "side", "ts")]
