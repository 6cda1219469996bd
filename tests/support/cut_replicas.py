"""Finds the connections of single collectors at the simulator, so that a test can cut those of one replica."""

from typing import Any

from collector_thread import CollectorThread
from simulator_process import Simulator


def connections_of(exchange: Simulator, *collectors: CollectorThread) -> list[list[str]]:
    """The connections of each collector, by the ports of their sockets."""
    rows = exchange.get("/state")["connections"]
    peers = [set(collector.ask(lambda c: [_port(link) for link in c.supervisor.links])) for collector in collectors]
    return [[row["id"] for row in rows if int(row["peer"].rpartition(":")[2]) in ports] for ports in peers]


def _port(link: Any) -> int:
    """The local port of a link's newest connection."""
    (*_, session) = link._sessions.values()
    return int(session._connection._transport.get_extra_info("sockname")[1])
