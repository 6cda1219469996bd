"""Logins: reads the API key, waits while there is no usable one, signs frames and REST requests.

The key files are read before each connection and again for each signature, so a changed key is used at once.
The key is never logged.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from market_collector.config.settings import Settings
from market_collector.errors import CredentialsMissingError
from market_collector.exchanges.interface import (
    Access,
    Credentials,
    Exchange,
    ProblemKind,
    Request,
    RestProblem,
    Signer,
    Stamp,
)
from market_collector.feed.account_login import CREDENTIALS_REFUSED
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import StreamProgress
from market_collector.model.events import Record
from market_collector.model.streams import StreamState
from market_collector.net.clock import ClockWatch, read_clock
from market_collector.net.nonce import nonces_of
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)

MISSING = "CredentialsMissing"
POLL_S = 2.0
"""Interval of reading the files while there is no usable key. A kubelet updates a changed Secret within a minute."""
REJECTED_RETRY_S = 300.0
"""Interval of retries with a key that the exchange refused: it may be accepted later."""
LONGEST_BYTES = 4096


class Token(NamedTuple):
    """A token that frames need. Its `repr` hides it."""

    text: str
    since: float
    """When it was requested, monotonic seconds."""

    def __repr__(self) -> str:
        return "Token(...)"


class LoginGate:
    """Grants logins to the connections of one collector, and signs for them and for REST."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        watch: ClockWatch,
        emit: Callable[[Sequence[Record]], None],
        rest: Rest,
    ) -> None:
        self._secret = settings.secret_name
        self._directory = settings.credentials_directory
        self._exchange = exchange
        self._ledger = ledger
        self._watch = watch
        self._emit = emit
        self._rest = rest
        rest.signing = self
        self._nonces = nonces_of(exchange.name)
        self._token: Token | None = None
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
        self._token = None  # it may be the reason of the reconnect
        if self._is_clock_suspect or self._watch.timekeeper.skew is None:
            self._is_clock_suspect = False
            await self._watch.compare()

    async def signed(self, text: str) -> str:
        """Return a frame with a signature, or with a token.

        Raises:
            CredentialsMissingError: the key was removed, or is malformed.
            RequestFailedError: there is no token.
            FrameError: the answer with the token cannot be read.
        """
        return self.sign(text, await self._valid_token())

    def sign(self, text: str, token: str = "") -> str:
        """Return the signed form of a frame, with the exchange's time if it is known.

        Raises:
            CredentialsMissingError: the key was removed, or is malformed.
        """
        self._tried = self._read()
        with self._signing():
            return self._signer.frame(text, self._tried, self._stamp(), token)

    def sign_request(self, request: Request) -> Request:
        """Return the signed form of a REST request.

        Raises:
            CredentialsMissingError: the key was removed, or is malformed.
        """
        self._tried = self._read()
        with self._signing():
            return self._signer.request(request, self._tried, self._stamp())

    @contextmanager
    def _signing(self) -> Iterator[None]:
        """Replace an error of the signer, whose words may repeat a part of the key."""
        try:
            yield
        except Exception as error:
            fault = f"the API key in {self._directory} cannot be used to sign: {type(error).__name__}"
            raise CredentialsMissingError(fault) from None

    def note_problem(self, problem: RestProblem, message: str) -> None:
        """Handle the exchange's error about a signed request."""
        if problem.kind is ProblemKind.CLOCK:
            self.suspect_clock()
        elif problem.kind is ProblemKind.KEY:
            self.reject_key()
            self._refuse(CREDENTIALS_REFUSED, message)

    def _stamp(self) -> Stamp:
        skew = self._watch.timekeeper.skew
        now_ns = read_clock().wall_ns + (round(skew.seconds * 1e9) if skew else 0)
        return Stamp(now_ns, self._nonces.next(now_ns))

    async def _valid_token(self) -> str:
        request = self._signer.token_request()
        if request is None:
            return ""
        now = time.monotonic()
        if self._token is None or now - self._token.since >= self._signer.token_life_s:
            self._token = Token(self._signer.read_token(await self._rest.fetch(request)), now)
        return self._token.text

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
            self._refuse(MISSING, str(error))
            return False
        return found != self._rejected or time.monotonic() - self._rejected_at >= REJECTED_RETRY_S

    def _refuse(self, reason: str, message: str) -> None:
        """Refuse every stream that needs the key, once, except those that an older connection delivers."""
        for progress in self._streams():
            if progress.state not in (StreamState.LIVE, StreamState.QUIET) and progress.message != message:
                log.error("%s: %s", progress.stream, message)
                self._emit(self._ledger.refuse(progress, reason, message, read_clock()))

    def _end_refusals(self) -> None:
        for progress in self._streams():
            if progress.reason == MISSING:
                self._ledger.expect_data(progress, read_clock())

    def _streams(self) -> list[StreamProgress]:
        """Return the streams that need the key."""
        routes, found = self._exchange.routes, self._ledger.streams.values()
        return [each for each in found if routes[self._exchange.route(each.stream)].access is not Access.PUBLIC]

    @cached_property
    def _signer(self) -> Signer:
        return self._exchange.signer()

    def _read(self) -> Credentials:
        names = self._signer.fields
        found = [_content(self._directory / name) for name in names]
        missing = [name for name, text in zip(names, found, strict=True) if not text]
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
