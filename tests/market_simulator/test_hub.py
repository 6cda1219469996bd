import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from market_simulator.faults import Faults
from market_simulator.hub import Hub, frame, text_frame


def read(data: bytes) -> Frame:
    """What an independent client makes of these bytes."""
    client = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=None)
    client.receive_data(data)
    (event,) = client.events_received()
    assert isinstance(event, Frame)
    return event


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_frames_of_every_size_are_read_by_a_client(size: int) -> None:
    got = read(text_frame("x" * size))
    assert (got.opcode, len(got.data), got.fin) == (Opcode.TEXT, size, True)


def test_text_is_sent_as_utf8() -> None:
    assert read(text_frame("é")).data == "é".encode()
    assert frame(b"abc") == b"\x81\x03abc"


def test_connection_ids_are_eight_hexadecimal_digits_and_differ() -> None:
    hub = Hub(Faults(), 30.0, 1000)
    ids = {hub.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in ids)
