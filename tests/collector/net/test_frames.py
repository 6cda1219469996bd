"""Any input in any portions gives the same messages and answers as the library."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from market_collector.net.frames import MAX_LINE_BYTES, HeadTooLongError, MessageReader, frame_size, read_plain

LONGEST = 70_000


def client() -> tuple[ClientProtocol, bytes]:
    """A protocol that has sent its handshake, and the server's answer."""
    protocol = ClientProtocol(parse_uri("ws://localhost/ws"), max_size=LONGEST)
    protocol.send_request(protocol.connect())
    server = ServerProtocol()
    server.receive_data(b"".join(protocol.data_to_send()))
    (request,) = server.events_received()
    assert isinstance(request, Request)
    server.send_response(server.accept(request))
    return protocol, b"".join(server.data_to_send())


def by_library(protocol: ClientProtocol, data: bytes) -> list[bytes]:
    """Messages that the library decodes, with fragments joined."""
    protocol.receive_data(data)
    messages, parts = [], []
    for event in protocol.events_received():
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            parts.append(bytes(event.data))
            if event.fin:
                messages.append(b"".join(parts))
                parts = []
    return messages


def portions(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """The data cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return (data[start:end] for start, end in pairwise(places))


def masked(frame: Frame) -> bytes:
    return frame.serialize(mask=True)


def plain(frame: Frame) -> bytes:
    return frame.serialize(mask=False)


payloads = st.one_of(
    st.binary(max_size=20),
    st.integers(120, 130).map(bytes),
    st.sampled_from([65_535, 65_536, LONGEST, LONGEST + 1]).map(bytes),
)
controls = st.builds(Frame, st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))
frames = st.one_of(
    st.builds(Frame, st.sampled_from([Opcode.TEXT, Opcode.BINARY]), payloads).map(plain),
    controls.map(plain),
    st.builds(Frame, st.just(Opcode.TEXT), st.binary(max_size=9), st.just(False)).map(plain),
    st.builds(Frame, st.just(Opcode.CONT), st.binary(max_size=9), st.booleans()).map(plain),
)
trouble = st.one_of(
    st.builds(Frame, st.just(Opcode.TEXT), st.binary(max_size=9)).map(masked),
    st.just(b"\xc1\x03abc"),  # a reserved bit
    st.just(Frame(Opcode.CLOSE, b"\x03\xe8bye")).map(plain),
    st.binary(max_size=12),
)
streams = st.lists(st.one_of(frames, frames, frames, trouble), max_size=12).map(b"".join)


@given(streams, st.lists(st.integers(0, 200_000), max_size=8))
def test_it_reads_what_the_library_reads(data: bytes, cuts: list[int]) -> None:
    library, answer = client()
    expected = by_library(library, answer + data)
    protocol, answer = client()
    reader = MessageReader(protocol, LONGEST)
    assert [m for portion in portions(answer + data, cuts) for m in reader.read(portion)] == expected
    sent, expected_sent = protocol.data_to_send(), library.data_to_send()
    assert list(map(len, sent)) == list(map(len, expected_sent)), "but for the random masks"
    assert (protocol.state, protocol.close_rcvd) == (library.state, library.close_rcvd)
    assert repr(protocol.parser_exc) == repr(library.parser_exc)


@given(st.lists(st.integers(0, 2_000), max_size=5))
def test_a_refused_handshake_is_the_librarys_in_any_portions(cuts: list[int]) -> None:
    protocol, _ = client()
    reader = MessageReader(protocol, LONGEST)
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
    assert [reader.read(portion) for portion in portions(refusal, cuts)].count([]) >= 1
    assert "503" in str(protocol.handshake_exc)


def test_an_answer_that_is_no_http_is_refused_at_once() -> None:
    protocol, _ = client()
    assert MessageReader(protocol, LONGEST).read(b"SSH-2.0-OpenSSH_9.2\r\n") == []
    assert protocol.handshake_exc is not None


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=5))
def test_any_bytes_instead_of_a_head_are_read(data: bytes, cuts: list[int]) -> None:
    protocol, _ = client()
    reader = MessageReader(protocol, LONGEST)
    assert [message for portion in portions(data, cuts) for message in reader.read(portion)] == []


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"H" * (MAX_LINE_BYTES + 1), "a line of more than 8,192 bytes"),
        (b"HTTP/1.1 101 Switching Protocols\r\n" + b"x: " + b"y" * MAX_LINE_BYTES, "a line of more than"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n" + (b"x: " + b"y" * 8_000 + b"\r\n") * 9,
            "head has more than 65,536 bytes",
        ),
    ],
)
@pytest.mark.parametrize("portion", [1_000, 200_000])
def test_a_head_without_an_end_is_refused(head: bytes, words: str, portion: int) -> None:
    protocol, _ = client()
    reader = MessageReader(protocol, LONGEST)
    with pytest.raises(HeadTooLongError, match=words):
        _ = [reader.read(head[at : at + portion]) for at in range(0, len(head), portion)]


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 2),
        (b"\x81", 2),
        (b"\x81\x05", 7),
        (b"\x81\x85", None),
        (b"\xc1\x05", 7),
        (b"\x83\x05", None),
        (b"\x81\x7e", 4),
        (b"\x81\x7e\x01\x00", 260),
        (b"\x81\x7f\x00", 10),
        (b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 65_546),
    ],
)
def test_a_frame_tells_its_size_as_soon_as_its_head_is_there(data: bytes, size: int | None) -> None:
    assert frame_size(b"xx" + data, 2) == size


def test_plain_messages_are_cut_out_up_to_the_first_that_is_not() -> None:
    texts = [b"a" * length for length in (0, 125, 126, 65_535)]
    data = b"".join(plain(Frame(Opcode.TEXT, text)) for text in texts)
    found: list[bytes] = []
    assert read_plain(data + plain(Frame(Opcode.PING, b"")), 0, found) == len(data)
    assert found == texts
