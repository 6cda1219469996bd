"""Reads the answers to probes so that pods cannot fill the operator's memory with them."""

import asyncio
from dataclasses import dataclass, field

import aiohttp

from market_operator.errors import ReportError
from market_operator.observed.reports import Report, read_report
from market_operator.resource.shares import Shares

TIMEOUT = 2.5
"""Seconds for an answer."""
LARGEST = 6 * 1024 * 1024
"""Longest answer. 500 symbols with all data types are 8,000 streams: 2.1 MB with one sink, 3.5 MB with eight."""
SMALL = 64 * 1024
"""Longest answer that takes no share, of about 250 streams."""
IN_FLIGHT = 4 * LARGEST
"""Bytes of longer answers at a time, of all probes."""


@dataclass(slots=True)
class Answers:
    """The answers that are being read. Longer ones wait until `shares` has room for them."""

    shares: Shares = field(default_factory=lambda: Shares(IN_FLIGHT))
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, namespace: str, response: aiohttp.ClientResponse) -> Report:
        """The report in the answer of a pod. It is parsed at once, so that its bytes do not wait in memory.

        Raises:
            ReportError: it is compressed, too long, or no report.
        """
        length = response.content_length
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ReportError("it is compressed")  # 1 MB of it may become 1 GB
        if length is not None and length > LARGEST:
            raise _too_long(length)
        content = bytearray()
        await _read(response, content, SMALL)
        if len(content) < SMALL:
            return read_report(content)
        size = LARGEST if length is None else length
        await self._take(namespace, size)
        try:
            await _read(response, content, LARGEST + 1)
            if len(content) > LARGEST:
                raise _too_long(len(content))
            return read_report(content)
        finally:
            self.shares.release(namespace, size)
            self._released.set()

    async def _take(self, namespace: str, size: int) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                while not self.shares.may_take(namespace, size):
                    self._released.clear()
                    await self._released.wait()
        except TimeoutError as error:
            raise ReportError(f"other long answers took the {TIMEOUT} s for it") from error
        self.shares.take(namespace, size)


async def _read(response: aiohttp.ClientResponse, content: bytearray, most: int) -> None:
    """Reads until `content` has `most` bytes, or to the end."""
    while len(content) < most and (more := await response.content.read(most - len(content))):
        content += more


def _too_long(length: int) -> ReportError:
    return ReportError(f"it has {length} bytes or more, and {LARGEST} are allowed")
