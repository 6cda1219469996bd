import pytest

from market_simulator.dialects.okx.words import WORDS, identity
from market_simulator.engine.events import Key
from market_simulator.engine.faults.messages import Kind, Outgoing
from market_simulator.engine.faults.swallowed import Ledger
from market_simulator.engine.faults.turns import Stream


@pytest.mark.parametrize(
    ("channel", "data", "ids"),
    [
        ("trades-all", '{"tradeId":"7"},{"tradeId":"8"}', {"firstTradeId": 7, "lastTradeId": 8}),
        ("trades", '{"tradeId":"7","count":"3"},{"tradeId":"9","count":"2"}', {"firstTradeId": 5, "lastTradeId": 9}),
        ("books", '{"asks":[],"bids":[],"seqId":12,"prevSeqId":11}', {"sequence": 12, "previous": 11}),
        ("books5", '{"asks":[],"bids":[],"ts":"99","seqId":12}', {"ts": "99"}),
        ("tickers", '{"last":"1","ts":"99"}', {"ts": "99"}),
        ("candle1m", '["60000","1","1","1","1","1","1","1","1"]', {"openMs": 60000, "closed": True}),
    ],
)
def test_push_is_identified_by_its_ids(channel: str, data: str, ids: object) -> None:
    assert identity(Key(channel, "A-B"), f'{{"data":[{data}]}}') == ids


def test_swallowed_messages_are_listed_by_stream_in_order() -> None:
    ledger = Ledger(WORDS)
    for name, sequence in (("A-B", 3), ("C-D", 1), ("A-B", 5)):
        text = f'{{"data":[{{"seqId":{sequence},"prevSeqId":{sequence - 1}}}]}}'
        ledger.note("lose", Outgoing(Kind.PUSH, Key("books", name), text))
    rows = list(ledger.rows(Stream("books", "A-B")))
    assert rows[0] == {"fault": "lose", "channel": "books", "symbol": "A-B", "sequence": 3, "previous": 2}
    assert [row["sequence"] for row in rows] == [3, 5]
    assert len(list(ledger.rows(Stream()))) == 3
    assert list(ledger.rows(Stream("trades"))) == []
