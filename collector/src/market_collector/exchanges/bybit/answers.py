"""Envelope of Bybit's REST answers, and the meaning of its errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from market_collector.errors import UNREADABLE, FrameError, InstrumentRefusedError
from market_collector.excerpt import first_words
from market_collector.exchanges.decimals import Milliseconds
from market_collector.exchanges.http_status import FORBIDDEN, HTTP_OK, excludes_region, problem_of_status
from market_collector.exchanges.interface import ProblemKind, RestProblem
from market_collector.model.streams import Stream

BLOCKED_S = 600.0
"""After HTTP 403: the exchange blocks an address with too many requests for 10 minutes, and some countries for good."""
BUSY_PAUSE_S = 5.0
"""After "Too many visits!": requests are counted in windows of this length."""
WRONG_PARAMETER = 10001
KEY_CODES = {
    10003: "the API key is not known, or belongs to another environment",
    10004: "the signature is wrong: secretKey does not belong to apiKey",
    10005: "the API key lacks the permission",
    10007: "the login failed",
    10010: "the API key is not allowed from this IP address",
    33004: "the API key has expired",
    -2015: "the API key has expired",
}
TIME_CODE = 10002
_KINDS = (
    dict.fromkeys(KEY_CODES, RestProblem(ProblemKind.KEY))
    | {TIME_CODE: RestProblem(ProblemKind.CLOCK)}
    | {10006: RestProblem(ProblemKind.BUSY, BUSY_PAUSE_S)}
    | dict.fromkeys((10009, 10024), RestProblem(ProblemKind.REGION, BLOCKED_S))
    | dict.fromkeys((10000, 10016), RestProblem(ProblemKind.SERVER))
)

T = TypeVar("T")


class Envelope(msgspec.Struct, gc=False):
    """``{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":1789299611008}`` [rec]."""

    retCode: int
    retMsg: str = ""
    result: msgspec.Raw = msgspec.Raw(b"{}")
    time: Milliseconds = 0


read_envelope = msgspec.json.Decoder(Envelope).decode
_SUCCESS = b'{"retCode":0,'


def problem_of(status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
    """Return the problem that an answer reports. Bybit reports most errors with HTTP 200."""
    if status == HTTP_OK and body.startswith(_SUCCESS):
        return None
    if excludes_region(status, body):
        return RestProblem(ProblemKind.REGION, BLOCKED_S)
    if status == FORBIDDEN:
        return RestProblem(ProblemKind.BANNED, BLOCKED_S)
    code, message = _error(body)
    if code == WRONG_PARAMETER and "symbol" in message.lower():
        return None if status == HTTP_OK else RestProblem(ProblemKind.NO_SYMBOL)
    if code in _KINDS:
        return _KINDS[code]
    return None if status == HTTP_OK else problem_of_status(status, headers, BUSY_PAUSE_S)


def _error(body: bytes) -> tuple[int, str]:
    try:
        envelope = read_envelope(body)
    except UNREADABLE:
        return 0, ""
    return envelope.retCode, envelope.retMsg


def read_result(what: Stream | str, body: bytes, kind: type[T]) -> tuple[T, int]:
    """Return the result of an answer, and the exchange's time in milliseconds.

    Raises:
        InstrumentRefusedError: the exchange does not know the instrument of a stream.
        FrameError: the answer is malformed, or reports another error. It has the stream if only its data cannot be
            read.
    """
    with reading(what, body):
        envelope = read_envelope(body)
        if envelope.retCode != 0:
            raise _refusal(what, envelope)
        return msgspec.json.decode(envelope.result, type=kind), envelope.time


def _refusal(what: Stream | str, envelope: Envelope) -> FrameError:
    message = f"Bybit error {envelope.retCode}: {envelope.retMsg} (REST, {what})"
    is_symbol = envelope.retCode == WRONG_PARAMETER and "symbol" in envelope.retMsg.lower()
    if is_symbol and isinstance(what, Stream):
        return InstrumentRefusedError("SymbolNotFound", message)
    return FrameError(message)


@contextmanager
def reading(what: Stream | str, body: bytes) -> Iterator[None]:
    """Turn a decoding error into a FrameError that names the request and shows the answer."""
    try:
        yield
    except UNREADABLE as error:
        stream = what if isinstance(what, Stream) and body.startswith(_SUCCESS) else None
        raise FrameError(f"Bybit's answer for {what} cannot be read: {error}: {first_words(body)}", stream) from error
