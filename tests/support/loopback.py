"""Addresses of 127.0.0.0/8 that nothing else uses, so that programs which run beside one another never meet on one.

A port that was free a moment ago is no such address: another program, or an outgoing connection, may take it first.
"""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_PORT = 8080
_numbers = itertools.count(1)


def _own_network() -> tuple[str, socket.socket]:
    """A /16 that no other process of tests uses, and the socket that holds it while this process lives."""
    for number in range(100, 228):
        claim = socket.socket()
        try:
            claim.bind((f"127.{number}.255.254", _PORT))
        except OSError:
            claim.close()
        else:
            return f"127.{number}", claim
    raise RuntimeError("tests: all networks from 127.100 to 127.227 are taken. End other runs of the tests.")


_NETWORK, _CLAIM = _own_network()


def new_host() -> str:
    """An address that no other caller gets."""
    number = next(_numbers)
    return f"{_NETWORK}.{number // 250}.{number % 250 + 1}"


def new_address() -> str:
    """Host and port where nothing listens yet."""
    return f"{new_host()}:{_PORT}"


@contextmanager
def silent_server(host: str, port: int) -> Iterator[socket.socket]:
    """A server that accepts TCP connections and never answers."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after an earlier run of the tests
        listening.bind((host, port))
        listening.listen()
        listening.settimeout(30)
        yield listening


def first_bytes(listening: socket.socket, count: int) -> bytes:
    """The first bytes of the next connection to a `silent_server`."""
    with listening.accept()[0] as peer:
        return peer.recv(count)
