"""Finds the connections of single collectors at the simulator, and cuts those of one replica."""

import time
from collections.abc import Callable
from typing import Any

from collector_thread import CollectorThread
from market_collector.app import Collector
from simulator_process import Simulator


def connections_of(exchange: Simulator, *collectors: CollectorThread) -> list[list[str]]:
    """The connections of each collector, by the ports of their sockets, once it has all of them."""
    ports = [_ports_of(collector) for collector in collectors]
    rows = exchange.get("/state")["connections"]
    return [[row["id"] for row in rows if int(row["peer"].rpartition(":")[2]) in each] for each in ports]


def cut(exchange: Simulator, *collectors: CollectorThread, fault: Callable[[], str] = lambda: "drop") -> None:
    """Cut all connections of these collectors, and wait until each of them has noticed it."""
    before = [_ports_of(collector) for collector in collectors]
    for connection in [each for found in connections_of(exchange, *collectors) for each in found]:
        exchange.post(f"/faults/{fault()}", {"connection": connection})
    for collector, ports in zip(collectors, before, strict=True):
        while not ports.isdisjoint(collector.ask(_ports)):
            time.sleep(0.05)


def _ports_of(collector: CollectorThread) -> set[int]:
    while None in (ports := collector.ask(_ports)):
        time.sleep(0.05)  # a slow machine may have lost one again
    return ports


def _ports(collector: Collector) -> set[Any]:
    return {_port(link) for link in collector.supervisor.links}


def _port(link: Any) -> Any:
    """The local port of a link's newest connection; None without one."""
    newest = next(reversed(link._sessions.values()), None)
    connection = newest and newest._connection
    return connection and connection._transport.get_extra_info("sockname")[1]
