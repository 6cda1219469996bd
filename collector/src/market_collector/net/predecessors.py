"""Asks the pods that this one takes over from where their streams are, until they overlap or are gone.

Plain HTTP inside the cluster, never through a proxy. A pod that does not answer is gone. Meanwhile the operator's
document is read again: the kubelet updates the mounted file when the pod has started or becomes ready, else about every
minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from market_collector.containment import Containment
from market_collector.errors import UNREADABLE, RequestFailedError
from market_collector.feed.checkpoint_state import StreamPosition
from market_collector.feed.effects import Emit
from market_collector.feed.handover import CONTRACT, Handover, Takeover
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.threads import in_thread

POLL_S = 0.5
"""Interval between two questions to a pod."""
TIMEOUT_S = 2.0
TOTAL_S = 5.0
"""Until an answer is complete."""
MAX_STATUS_BYTES = 16 * 2**20
GONE_S = 10.0
"""A pod that does not answer for so long is gone. The document may say so earlier."""
SETTLE_S = 180.0
"""How long streams without a position wait for a document that is newer than this pod."""
ANNOUNCE_S = 60.0
"""How long the predecessors are informed that they are replaced, once this pod delivers their streams."""
TAKES_OVER = "successor"
REPLACED = "successor=ready"
"""Queries of ``GET /status`` by a pod that takes over, and by one that delivers every stream of the asked one.

They change nothing but when the asked pod ends."""

log = logging.getLogger(__name__)


class StreamName(msgspec.Struct, frozen=True):
    """A stream in a status document."""

    stream: str


class Sender(msgspec.Struct, frozen=True):
    """The pod that answers. It is read first, because the rest takes ten times its length in memory."""

    epoch: str


class Answer(msgspec.Struct, frozen=True):
    """The parts of a pod's status document that count."""

    streams: list[StreamName]
    positions: dict[str, StreamPosition | None] = {}


class HandoverFile:
    """The operator's document. There is none before the first pod of the resource runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: bytes | str = b""
        """The content or the error of the last read."""

    def read_change(self) -> Handover | None:
        """The document if it has changed since the last read; None also if it is missing or cannot be read."""
        try:
            found = self._path.read_bytes()
            if found == self._known:
                return None
            self._known = found
            document = msgspec.json.decode(found, type=Handover)
        except FileNotFoundError:
            return None
        except (OSError, *UNREADABLE) as error:
            self._complain(f"cannot be read, so the streams' positions are unknown: {error}")
            return None
        if document.contract == CONTRACT:
            return document
        self._complain(f"has contract {document.contract}, this collector reads contract {CONTRACT}")
        return None

    def _complain(self, problem: str) -> None:
        if problem != self._known:
            log.warning("%s: %s", self._path, problem)
        self._known = problem


class Predecessors:
    """The task that asks; it ends when nothing is left to ask. Cancel `run` to end it earlier."""

    def __init__(
        self,
        takeover: Takeover,
        file: HandoverFile,
        streams: set[str],
        emit: Callable[[Sequence[Record], str | None], None],
        is_ready: Callable[[], bool],
        clock: Callable[[], Moment],
        containment: Containment,
    ) -> None:
        """``file`` is the document; ``streams`` are this pod's streams, ``is_ready`` whether it delivers them."""
        self._takeover = takeover
        self._file = file
        self._streams = streams
        self._emit = emit
        self._is_ready = is_ready
        self._clock = clock
        self._containment = containment
        self._failing_since: dict[str, float] = {}
        self._subsets: set[str] = set()
        """UIDs of pods of which this one has every stream."""
        self._covered_at: float | None = None

    async def run(self) -> None:
        """Ask until each stream has a position or is new, and each predecessor is gone or knows that it is replaced."""
        ends_at = self._clock().at + SETTLE_S
        while True:
            with self._containment.of("handover"):
                if not await self._ask_all(ends_at):
                    return
            await asyncio.sleep(POLL_S)

    async def _ask_all(self, ends_at: float) -> bool:
        """Ask every predecessor once; returns False when nothing is left to ask."""
        asked = self._to_ask()
        if not asked and self._takeover.is_settled:
            return False
        await asyncio.gather(*(self._ask(uid) for uid in asked))
        await self._read_again()
        if self._clock().at >= ends_at:
            self._carry_out(self._takeover.give_up(self._clock()))
        return True

    async def _read_again(self) -> None:
        """Read the document if it may say more about a stream, or about a predecessor that does not answer."""
        if self._takeover.is_settled and not self._failing_since:
            return
        if document := await in_thread(self._file.read_change):
            self._carry_out(self._takeover.on_document(document, self._clock()))
            self._failing_since = {
                uid: at for uid, at in self._failing_since.items() if uid in self._takeover.predecessors
            }

    def _to_ask(self) -> set[str]:
        """All while a stream is held. Then those that may leave gaps, and for a while those that are replaced."""
        if not self._takeover.is_covered:
            return set(self._takeover.predecessors)
        now = self._clock().at
        self._covered_at = now if self._covered_at is None else self._covered_at
        if now - self._covered_at < ANNOUNCE_S:
            return set(self._takeover.predecessors)
        return self._takeover.awaited

    async def _ask(self, uid: str) -> None:
        try:
            await self._follow(uid)
        except RequestFailedError as error:
            self._note_failure(uid, str(error))
        except Exception as error:
            self._note_failure(uid, self._containment.report(f"predecessor {uid}", error))

    def _note_failure(self, uid: str, reason: str) -> None:
        now = self._clock()
        if now.at - self._failing_since.setdefault(uid, now.at) >= GONE_S:
            log.info("predecessor %s is gone: %s", uid, reason)
            del self._failing_since[uid]
            self._carry_out(self._takeover.on_gone(uid, now))

    async def _follow(self, uid: str) -> None:
        """Ask where its streams are.

        Raises:
            RequestFailedError: no answer that can be used.
        """
        answer = await self._fetch(uid)
        if {each.stream for each in answer.streams} <= self._streams:
            self._subsets.add(uid)
        known = {name: position for name, position in answer.positions.items() if position}
        self._carry_out(self._takeover.on_report(uid, known, self._clock()))
        self._failing_since.pop(uid, None)

    async def _fetch(self, uid: str) -> Answer:
        """Its answer.

        Raises:
            RequestFailedError: no answer, or that of another pod which has the address now.
        """
        address = self._takeover.predecessors[uid]
        is_replaced = uid in self._subsets and self._takeover.is_covered and self._is_ready()
        path = f"/status?{REPLACED if is_replaced else TAKES_OVER}"
        body = await in_thread(lambda: get_directly(address, path, TIMEOUT_S))
        try:
            if not msgspec.json.decode(body, type=Sender).epoch.startswith(f"{uid}/"):
                raise RequestFailedError(f"{address} belongs to another pod now")
            return msgspec.json.decode(body, type=Answer)
        except UNREADABLE as error:
            raise RequestFailedError(f"the status of {address} cannot be read: {error}") from error

    def _carry_out(self, effects: Sequence[Emit]) -> None:
        for effect in effects:
            self._emit(effect.records, effect.sink)


def get_directly(address: str, path: str, timeout_s: float) -> bytes:
    """The body of an answer, never through a proxy; blocks the thread.

    Raises:
        RequestFailedError: no answer in time, or a status other than 200.
    """
    from http.client import HTTPConnection, HTTPException  # imported here: most collectors send no request

    from market_collector.net.http_client import with_deadline

    try:
        connection = with_deadline(HTTPConnection(address, timeout=timeout_s), timeout_s, time.monotonic() + TOTAL_S)
    except HTTPException as error:
        raise RequestFailedError(f"{address!r} is no address: {error}") from error
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(MAX_STATUS_BYTES)
    except (OSError, HTTPException) as error:
        raise RequestFailedError(f"GET http://{address}{path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise RequestFailedError(f"GET http://{address}{path}: status {response.status}")
    return body
