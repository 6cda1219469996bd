"""The fence in front of every write: none leaves once the lease may have expired."""

import math
from collections.abc import Callable
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection

from market_operator.errors import LeadershipError

current_fence = ContextVar[Callable[[], float]]("fence", default=lambda: math.inf)


class FencedRequest(aiohttp.ClientRequest):
    """Checks the fence again when the body is sent.

    A process may be stopped while it waits for a connection, and continue when another instance leads. The head of a
    request is sent with its body.
    """

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """Sends the body, or fails the call."""
        try:
            current_fence.get()()
        except LeadershipError as error:
            if conn.protocol is not None:
                conn.protocol.set_exception(aiohttp.ClientConnectionError(str(error)))
        else:
            await super().write_bytes(writer, conn, content_length)
