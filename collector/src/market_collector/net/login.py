"""The way in for connections that need a login: reads the API key, waits while there is none worth trying, signs.

The key is read from files before each connection and again for its login, so that a key that was changed is used with
the next connection. Nothing of it is told or logged.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from market_collector.config.settings import Settings
from market_collector.errors import CredentialsMissingError
from market_collector.exchanges.interface import Credentials, Exchange
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import StreamProgress
from market_collector.model.events import Record
from market_collector.model.streams import StreamState
from market_collector.net.clock import ClockWatch, read_clock

log = logging.getLogger(__name__)

MISSING = "CredentialsMissing"
LOOK_S = 2.0
"""How often the files are looked at while there is no usable key. A kubelet brings a changed Secret within a minute."""
REJECTED_RETRY_S = 300.0
"""A key that the exchange refused is tried again this seldom: it may be allowed there later."""
LONGEST_BYTES = 4096
FILES = ("apiKey", "secretKey", "passphrase")
"""Keys of the Secret, and names of the files."""


class LoginGate:
    """Of one collector."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        watch: ClockWatch,
        emit: Callable[[Sequence[Record]], None],
    ) -> None:
        self._secret = settings.secret_name
        self._directory = settings.credentials_directory
        self._exchange = exchange
        self._ledger = ledger
        self._watch = watch
        self._emit = emit
        self._tried: Credentials | None = None
        """With the last login."""
        self._rejected: Credentials | None = None
        self._rejected_at = 0.0
        self._is_clock_doubted = False

    async def granted(self) -> None:
        """Returns when there is a key that the exchange has not just refused, and its time is known, if it tells it."""
        while not self._has_usable_key():  # noqa: ASYNC110 - a change of files is no event
            await asyncio.sleep(LOOK_S)
        self._expect_again()
        if self._is_clock_doubted or self._watch.timekeeper.skew is None:
            self._is_clock_doubted = False
            await self._watch.ask()

    def login(self) -> str:
        """The frame that logs in, signed with the exchange's time as far as it is known.

        Raises:
            CredentialsMissingError: the key has gone.
        """
        skew = self._watch.timekeeper.skew
        now_ns = read_clock().wall_ns + (round(skew.seconds * 1e9) if skew else 0)
        self._tried = self._read()
        return self._exchange.login(self._tried, now_ns)

    def reject_key(self) -> None:
        """The exchange refused the key of the last login."""
        self._rejected, self._rejected_at = self._tried, time.monotonic()

    def doubt_clock(self) -> None:
        """The exchange refused the time of the signature."""
        self._is_clock_doubted = True

    def _has_usable_key(self) -> bool:
        try:
            found = self._read()
        except CredentialsMissingError as error:
            self._refuse(str(error))
            return False
        return found != self._rejected or time.monotonic() - self._rejected_at >= REJECTED_RETRY_S

    def _refuse(self, message: str) -> None:
        """Says so on every stream that needs the key, once. One that an older connection still brings is left alone."""
        for page in self._pages():
            if page.state not in (StreamState.LIVE, StreamState.QUIET) and page.message != message:
                log.error("%s: %s", page.stream, message)
                self._emit(self._ledger.refuse(page, MISSING, message, read_clock()))

    def _expect_again(self) -> None:
        for page in self._pages():
            if page.reason == MISSING:
                self._ledger.expect_data(page, read_clock())

    def _pages(self) -> list[StreamProgress]:
        """The streams that need the key."""
        pages = self._ledger.streams.values()
        return [page for page in pages if self._exchange.needs_login(self._exchange.route(page.stream))]

    def _read(self) -> Credentials:
        found = [_content(self._directory / name) for name in FILES]
        missing = [name for name, text in zip(FILES, found, strict=True) if not text]
        if missing:
            whose = f"Secret {self._secret}: " if self._secret else ""
            raise CredentialsMissingError(
                f"{whose}no {', '.join(missing)} in {self._directory}; looked for again until there is"
            )
        return Credentials(*found)


def _content(file: Path) -> str:
    """Without the newline that editors leave at the end; empty when it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(LONGEST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""
