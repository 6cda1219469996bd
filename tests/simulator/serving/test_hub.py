from market_simulator.dialects.okx.dialect import Okx
from market_simulator.engine.faults import Faults
from market_simulator.serving.hub import Hub


def test_connection_ids_are_eight_hexadecimal_digits_and_differ() -> None:
    hub = Hub(Faults(Okx.words), Okx.too_slow, 1000)
    ids = {hub.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in ids)
