"""The fields of spec.connection and spec.credentials."""

from collections.abc import Iterator
from typing import Annotated

from market_spec.durations import seconds
from market_spec.fields import DnsName
from market_spec.kinds import Duration, Number, Text, has_match
from market_spec.section import Rule, Section, Violation

# A host (a name, an IPv4 address or an IPv6 address in brackets), and optionally a port up to 65535.
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HOST_AND_PORT = rf"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:({_PORT}))?/?$"


def _address(scheme: str) -> Text:
    form = f"{scheme}://HOST:PORT or {scheme}s://HOST:PORT, without a path"
    return Text("a base address", form, pattern=f"^{scheme}s?://{_HOST_AND_PORT}", max_length=255)


WEBSOCKET_ADDRESS, REST_ADDRESS = _address("ws"), _address("http")
LOGIN_ADDRESS = r"^((wss|https)://.+|(ws|http)://(localhost|127([.][0-9]{1,3}){3}|\[::1\])(:[0-9]+)?/?)$"
"""Addresses that an API key may be sent to: encrypted ones, and those of this machine."""
PLAIN_LOGIN = (
    "with credentials, addresses must be wss:// and https://, or on loopback: others would get the API key unencrypted"
)


def is_login_address(address: str) -> bool:
    """Whether an API key may be sent to the address."""
    return has_match(LOGIN_ADDRESS, address)


INITIAL_ABOVE_MAX = "{} must not be longer than {}"


def _initial_above_max(backoff: "Backoff") -> Iterator[Violation]:
    if seconds(backoff.initial) > seconds(backoff.max):
        yield Violation(("initial",), f"initial is {backoff.initial}, max is {backoff.max}")


class Backoff(Section, frozen=True):
    """Delays between connection attempts. Each is random, below a bound that doubles from initial to max."""

    rules = (
        Rule(
            "duration(self.initial) <= duration(self.max)",
            INITIAL_ABOVE_MAX.format("initial", "max"),
            _initial_above_max,
            "initial",
        ),
    )
    initial: Annotated[
        str,
        Duration("10ms", "1m"),
        "Upper bound of the first delay, a duration from 10ms to 1m. Default 1s. Lower it only for an exchange of "
        "your own.",
    ] = "1s"
    max: Annotated[
        str,
        Duration("100ms", "10m"),
        "Upper bound of every delay, a duration from 100ms to 10m. Default 60s. Lower it to reconnect sooner after a "
        "long outage. More attempts then count against the exchange's limit per address.",
    ] = "60s"


class Endpoint(Section, frozen=True):
    """Base addresses that replace the exchange's public ones: proxies, regional hosts, test environments."""

    websocket: Annotated[
        str | None,
        WEBSOCKET_ADDRESS,
        "Base address for WebSocket, such as wss://wseea.okx.com:8443. The exchange's own paths are appended. "
        "Default: the exchange's public address. Set it for a proxy, a regional host or a test environment.",
    ] = None
    rest: Annotated[
        str | None,
        REST_ADDRESS,
        "Base address for REST, such as https://eea.okx.com. "
        "Default: the exchange's public address. Set it together with websocket.",
    ] = None
    allow_plain_login: Annotated[
        bool,
        "Send the API key unencrypted to ws and http addresses. Default false. Only for test environments: everyone on "
        "the way can read it.",
    ] = False


class Connection(Section, frozen=True):
    """Keep-alive and reconnection of the connections to the exchange."""

    ping_interval: Annotated[
        str,
        Duration("1s", "25s"),
        "Ping after this time without a message, a duration from 1s to 25s. Reconnect when no answer comes within the "
        "same time. Default 20s. Lower it to detect dead connections sooner.",
    ] = "20s"
    max_reconnect_attempts: Annotated[
        int,
        Number(0, 1_000_000),
        "Consecutive failed attempts after which the collector gives up the connection. Default 0: never. "
        "autoRestart decides what happens then.",
    ] = 0
    backoff: Annotated[Backoff, "Delays between connection attempts. Default 1s to 60s."] = Backoff()
    endpoint: Annotated[
        Endpoint | None,
        "Base addresses that replace the exchange's public ones. Default none.",
    ] = None


class Credentials(Section, frozen=True):
    """The Secret with the API key of the account. Only collector pods get it; the operator never reads a Secret."""

    secret_name: Annotated[
        DnsName,
        "Secret in the same namespace with the keys apiKey and secretKey, for okx also passphrase; a read-only API key "
        "suffices. The pods of the first shard mount it read-only, and the operator never reads it. A changed key is "
        "used with the next connection. Required.",
    ]
