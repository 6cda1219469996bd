from market_simulator.faults import Faults
from market_simulator.hub import Hub


def test_connection_ids_are_eight_hexadecimal_digits_and_differ() -> None:
    hub = Hub(Faults(), 30.0, 1000)
    ids = {hub.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in ids)
