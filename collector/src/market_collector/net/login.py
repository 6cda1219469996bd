"""Logins: reads the API key, waits while there is no usable one, signs the login frame.

The key files are read before each connection and again for its login, so the next connection uses a changed key.
The key is never logged.
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
POLL_S = 2.0
"""Interval of reading the files while there is no usable key. A kubelet updates a changed Secret within a minute."""
REJECTED_RETRY_S = 300.0
"""Interval of retries with a key that the exchange refused: it may be accepted later."""
LONGEST_BYTES = 4096
FILES = ("apiKey", "secretKey", "passphrase")
"""Keys of the Secret, and names of the mounted files."""


class LoginGate:
    """Grants logins to the connections of one collector."""

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
        """The key of the last login."""
        self._rejected: Credentials | None = None
        self._rejected_at = 0.0
        self._is_clock_suspect = False

    async def granted(self) -> None:
        """Wait for a key that the exchange has not just refused, then for its time, if it reports one."""
        while not self._has_usable_key():  # noqa: ASYNC110 - changed files cause no event
            await asyncio.sleep(POLL_S)
        self._end_refusals()
        if self._is_clock_suspect or self._watch.timekeeper.skew is None:
            self._is_clock_suspect = False
            await self._watch.compare()

    def login(self) -> str:
        """Return the login frame, signed with the exchange's time if it is known.

        Raises:
            CredentialsMissingError: the key was removed.
        """
        skew = self._watch.timekeeper.skew
        now_ns = read_clock().wall_ns + (round(skew.seconds * 1e9) if skew else 0)
        self._tried = self._read()
        return self._exchange.login(self._tried, now_ns)

    def reject_key(self) -> None:
        """Record that the exchange refused the key of the last login."""
        self._rejected, self._rejected_at = self._tried, time.monotonic()

    def suspect_clock(self) -> None:
        """Record that the exchange refused the signature's time."""
        self._is_clock_suspect = True

    def _has_usable_key(self) -> bool:
        try:
            found = self._read()
        except CredentialsMissingError as error:
            self._refuse(str(error))
            return False
        return found != self._rejected or time.monotonic() - self._rejected_at >= REJECTED_RETRY_S

    def _refuse(self, message: str) -> None:
        """Refuse every stream that needs the key, once, except those that an older connection delivers."""
        for progress in self._streams():
            if progress.state not in (StreamState.LIVE, StreamState.QUIET) and progress.message != message:
                log.error("%s: %s", progress.stream, message)
                self._emit(self._ledger.refuse(progress, MISSING, message, read_clock()))

    def _end_refusals(self) -> None:
        for progress in self._streams():
            if progress.reason == MISSING:
                self._ledger.expect_data(progress, read_clock())

    def _streams(self) -> list[StreamProgress]:
        """Return the streams that need the key."""
        found = self._ledger.streams.values()
        return [progress for progress in found if self._exchange.needs_login(self._exchange.route(progress.stream))]

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
    """Return a file's text without trailing newline; empty when it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(LONGEST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""
