import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from market_simulator.engine.faults.messages import Kind, Outgoing, Wire
from market_simulator.serving.connection import frame, written


def client() -> ClientProtocol:
    """An independent WebSocket parser."""
    return ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=None)


def read(data: bytes) -> Frame:
    """Parse one frame as a client does."""
    reader = client()
    reader.receive_data(data)
    (event,) = reader.events_received()
    assert isinstance(event, Frame)
    return event


def text(content: str, wire: Wire = Wire.TEXT) -> bytes:
    return written(Outgoing(Kind.PUSH, None, content, wire))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_frames_of_every_size_are_read_by_a_client(size: int) -> None:
    got = read(text("x" * size))
    assert (got.opcode, len(got.data), got.fin) == (Opcode.TEXT, size, True)


def test_text_is_sent_as_utf8() -> None:
    assert read(text("é")).data == "é".encode()
    assert frame(b"abc") == b"\x81\x03abc"


def test_a_pong_returns_the_very_bytes_of_the_ping() -> None:
    payload = bytes(range(125))
    got = read(text(payload.decode("latin-1"), Wire.PONG))
    assert (got.opcode, got.data) == (Opcode.PONG, payload)
    assert read(text(b"\xff\x80".decode("latin-1"), Wire.PONG)).data == b"\xff\x80"


def test_invalid_utf8_is_sent_in_a_valid_frame() -> None:
    got = read(text("abc", Wire.NOT_UTF8))
    assert (got.opcode, len(got.data)) == (Opcode.TEXT, 3)
    with pytest.raises(UnicodeDecodeError):
        bytes(got.data).decode()


def test_a_broken_frame_ends_what_a_client_reads() -> None:
    reader = client()
    reader.receive_data(text("abc", Wire.BROKEN))
    assert "invalid opcode" in str(reader.parser_exc)
    assert reader.events_received() == []


def test_half_a_frame_is_never_read_as_a_frame() -> None:
    reader = client()
    reader.receive_data(text("x" * 1000, Wire.HALF))
    assert reader.events_received() == []
    assert reader.parser_exc is None
