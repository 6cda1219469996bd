from market_simulator.dialects.okx.account import KEY, REPEATED_US
from market_simulator.dialects.okx.dialect import Okx
from market_simulator.dialects.okx.instruments import made_instrument
from market_simulator.engine.dialect import ServerOptions
from market_simulator.engine.events import Tick
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue
from market_simulator.serving.exchange import Exchange


def exchange() -> Exchange:
    made = [made_instrument("BTC-USDT", "0.1", "0.01")]
    return Exchange(Okx(), Venue(made), Truth(["BTC-USDT"], 10, 10), iter(()), 0, True, ServerOptions())


def test_account_is_pushed_regularly_to_its_subscribers() -> None:
    found = exchange()
    found.happen(Tick(REPEATED_US), 0.0)
    assert found.hub.counters.published == 0
    found.hub.wanted[KEY] = {}
    for time_us in (REPEATED_US - 100_000, REPEATED_US, REPEATED_US + 100_000, 2 * REPEATED_US):
        found.happen(Tick(time_us), 0.0)
    assert found.hub.counters.published == 2 * len(found.first_pushes(KEY))


def test_stream_without_a_state_has_no_first_push() -> None:
    found = exchange()
    assert found.first_pushes(KEY._replace(channel="trades", instrument="BTC-USDT")) == []
    assert found.subscribers(KEY) == 0
