"""Times at which connections carried a stream."""

from market_collector.verify.connections import Connections


def test_overlapping_connections_each_have_their_time() -> None:
    connections = Connections()
    connections.open(1, 10)
    connections.open(2, 20)
    connections.close(1, 25)
    connections.close(2, 30)
    assert connections.spans == [(10, 25), (20, 30)]


def test_connection_ends_with_its_process() -> None:
    connections = Connections()
    connections.open(1, 10)
    connections.end(50)
    connections.close(1, 60)
    assert connections.spans == [(10, 50)]


def test_end_of_an_unknown_connection_is_ignored() -> None:
    connections = Connections()
    connections.close(None, 5)
    assert connections.spans == []
