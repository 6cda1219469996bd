"""Codec of Bybit's public connections: subscriptions, and the stream of each message."""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import count

import msgspec

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.bybit.names import SPOT, topics
from market_collector.exchanges.bybit.pushes import Reader, readers_of
from market_collector.exchanges.interface import Ack, Info, Message, Pong, Refusal
from market_collector.exchanges.readable import read_shared
from market_collector.model.streams import Stream

ARGS_PER_REQUEST = 10
"""Topics of a request on spot. Linear has no limit, but a refused request is refused as a whole."""
REFUSALS = {"invalid symbol": "SymbolNotFound", "handler not found": "ChannelNotOffered"}
"""Words of permanent refusals. All others are temporary ("Too many visits!")."""
find_topics = re.compile(r"[A-Za-z]+(?:\.[0-9A-Za-z_-]+)+").findall
_TOPIC = b'"topic":"'


class Answer(msgspec.Struct, gc=False):
    """Wire type of the answer to a request.

    ``{"success":true,"ret_msg":"subscribe","conn_id":"d967ikkn0ine3iqmjc30-koqj","req_id":"1","op":"subscribe"}`` [rec]

    ``ret_msg`` of a success is "" on linear. A refusal may lack ``req_id``. The answer to a ping has ``op`` "ping".
    """

    op: str
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""


read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
read_answer = msgspec.json.Decoder(Answer).decode
read_name = msgspec.json.Decoder(str).decode


class BybitCodec:
    """The frames of one connection of a category."""

    def __init__(self, category: str, streams: Iterable[Stream], book_depth: int) -> None:
        self.path = f"/v5/public/{category}"
        self._book_depth = book_depth
        self._by_topic: dict[str, tuple[Stream, ...]] = {}
        readers: dict[str, list[tuple[Stream, Reader]]] = {}
        for stream in streams:
            for topic, read in readers_of(stream, topics(stream, book_depth), book_depth).items():
                self._by_topic[topic] = (*self._by_topic.get(topic, ()), stream)
                readers.setdefault(topic, []).append((stream, read))
        self._readers = {topic.encode(): found[0][1] for topic, found in readers.items() if len(found) == 1}
        self._shared = {topic.encode(): found for topic, found in readers.items() if len(found) > 1}
        """Readers of topics that have data of several streams."""
        self._is_spot = category == SPOT
        self._ids = count(1)
        self._asked: dict[str, tuple[Stream, ...]] = {}
        """Streams of the requests without an answer, the oldest first; none for an unsubscribe request."""

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the subscribe frames. All topics of a stream are in one of them."""
        return [self._request("subscribe", part, part) for part in self._parts(streams)]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the unsubscribe frames. A late answer to an earlier request is no longer about the streams."""
        ended = frozenset(streams)
        for request_id, asked in self._asked.items():
            self._asked[request_id] = tuple(stream for stream in asked if stream not in ended)
        return [self._request("unsubscribe", part, ()) for part in self._parts(streams)]

    def _parts(self, streams: Sequence[Stream]) -> Iterable[tuple[Stream, ...]]:
        """Streams with one topic stay together, so that it is not requested twice."""
        groups: dict[tuple[str, ...], list[Stream]] = {}
        for stream in streams:
            groups.setdefault(topics(stream, self._book_depth), []).append(stream)
        part: list[Stream] = []
        args = 0
        for names, group in groups.items():
            if args + len(names) > ARGS_PER_REQUEST:
                yield tuple(part)
                part, args = [], 0
            part += group
            args += len(names)
        if part:
            yield tuple(part)

    def _request(self, verb: str, streams: Sequence[Stream], asked: tuple[Stream, ...]) -> str:
        request_id = str(next(self._ids))
        self._asked[request_id] = asked
        args = list(dict.fromkeys(topic for stream in streams for topic in topics(stream, self._book_depth)))
        return json.dumps({"req_id": request_id, "op": verb, "args": args}, separators=(",", ":"))

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decode data first. The topic is not always the first key."""
        start = frame.find(_TOPIC) + len(_TOPIC)
        topic = frame[start : frame.find(b'"', start)]
        read_data = self._readers.get(topic)
        try:
            if read_data is not None:
                return (read_data(frame, receive_time_ns),)
            if (shared := self._shared.get(topic)) is not None:
                return read_shared(shared, frame, receive_time_ns, "Bybit")
            return self._read_other(frame, receive_time_ns)
        except UNREADABLE as error:
            raise FrameError(f"Bybit frame cannot be read: {error}", self._stream_of(frame)) from error

    def _stream_of(self, frame: bytes) -> Stream | None:
        """Return the stream whose data the frame has, even if the frame is cut off."""
        start = frame.find(_TOPIC) + len(_TOPIC)
        topic = frame[start : frame.find(b'"', start)]
        if topic in self._readers:
            return self._by_topic[topic.decode()][0]
        try:
            streams = self._by_topic.get(read_name(read_fields(frame)["topic"]), ())
        except (*UNREADABLE, KeyError):
            return None
        return streams[0] if len(streams) == 1 else None

    def _read_other(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decode answers, and data with blanks."""
        fields = read_fields(frame)
        if "topic" in fields:
            topic = read_name(fields["topic"])
            if (shared := self._shared.get(topic.encode())) is not None:
                return read_shared(shared, frame, receive_time_ns, "Bybit")
            if (read_data := self._readers.get(topic.encode())) is None:
                raise FrameError(f"Bybit sent {topic[:60]}, which nobody asked for")
            return (read_data(frame, receive_time_ns),)
        if "op" in fields:
            return self._answer(read_answer(frame))
        raise FrameError(f"Bybit sent an object with the keys {', '.join(fields) or '(none)'}: neither answer nor data")

    def _answer(self, answer: Answer) -> Sequence[Message]:
        match answer.op:
            case "ping" | "pong":
                return (Pong(),)
            case "subscribe" if answer.success:
                return (Ack(self._taken(answer.req_id)),)
            case "subscribe":
                return (self._refusal(answer),)
            case "unsubscribe":
                self._taken(answer.req_id)
                return (Ack(()),) if answer.success else (Info(),)
        raise FrameError(f"Bybit answered: {answer.ret_msg[:200] or '(nothing)'}")

    def _taken(self, request_id: str) -> tuple[Stream, ...]:
        """Return the streams of the answered request: without an id, that of the oldest one that has some."""
        if not request_id:
            request_id = next((name for name, streams in self._asked.items() if streams), "")
        return self._asked.pop(request_id, ())

    def _refusal(self, answer: Answer) -> Refusal:
        """Find the refused topics in the words of the exchange. The others of the request are not served either."""
        named = {stream for topic in find_topics(answer.ret_msg) for stream in self._by_topic.get(topic, ())}
        asked = self._taken(answer.req_id or self._request_with(named))
        words = answer.ret_msg.lower()
        reason = next((reason for word, reason in REFUSALS.items() if word in words), None)
        message = f"Bybit: {answer.ret_msg}"
        refused = tuple(stream for stream in asked if stream in named)
        if reason is None or not refused:
            return Refusal(asked, reason or "ExchangeError", message, is_permanent=reason is not None)
        others = tuple(stream for stream in asked if stream not in named)
        return Refusal(refused, reason, message, is_permanent=True, spared=others)

    def _request_with(self, named: set[Stream]) -> str:
        return next((name for name, streams in self._asked.items() if named.intersection(streams)), "")
