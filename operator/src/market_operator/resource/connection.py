"""The fields of spec.connection and spec.credentials."""

from typing import Annotated

from pydantic import Field

from market_operator.resource.durations import Between, seconds
from market_operator.resource.fields import DnsName, Int32
from market_operator.resource.schema import Rule, Section

# A host (a name, an IPv4 address or an IPv6 address in brackets), and a port up to 65535 when it is not the usual one.
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HOST_AND_PORT = rf"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:({_PORT}))?/?$"


class Backoff(Section):
    """Waiting times between attempts to connect: full jitter below a bound that doubles from initial to max."""

    rules = (
        Rule(
            "duration(self.initial) <= duration(self.max)",
            "initial must not be longer than max",
            lambda self: seconds(self.initial) <= seconds(self.max),
            "initial",
        ),
    )
    initial: Annotated[str, Between("10ms", "1m")] = Field(
        default="1s",
        description="Upper bound of the first wait, a duration from 10ms to 1m. Default 1s. Lower it "
        "only for an exchange of your own.",
    )
    max: Annotated[str, Between("100ms", "10m")] = Field(
        default="60s",
        description="Upper bound of every wait, a duration from 100ms to 10m. Default 60s. Lower it to "
        "be back sooner after a long outage, "
        "at the price of more attempts against the exchange's limit per address.",
    )


class Endpoint(Section):
    """Other base addresses than the exchange's public ones: proxies, regional hosts, test environments."""

    websocket: str | None = Field(
        default=None,
        max_length=255,
        pattern=f"^wss?://{_HOST_AND_PORT}",
        description="Base address for WebSocket, such as wss://wseea.okx.com:8443; the exchange's own "
        "paths are appended. "
        "Default: the exchange's public address. Set it for a proxy, a regional host or a test environment.",
    )
    rest: str | None = Field(
        default=None,
        max_length=255,
        pattern=f"^https?://{_HOST_AND_PORT}",
        description="Base address for REST, such as https://eea.okx.com; the exchange's own paths are appended. "
        "Default: the exchange's public address. Set it together with websocket.",
    )


class Connection(Section):
    """How connections to the exchange are kept alive and made again."""

    ping_interval: Annotated[str, Between("1s", "25s")] = Field(
        default="20s",
        description="Ping after this much silence, and reconnect when nothing came back within the same "
        "time; a duration from 1s to 25s. "
        "Default 20s. Lower it to notice dead connections sooner.",
    )
    max_reconnect_attempts: Int32 = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Failed attempts in a row after which the collector gives the connection up. Default 0: never. "
        "What happens then is said by autoRestart.",
    )
    backoff: Backoff = Field(
        default=Backoff(), description="Waiting times between attempts to connect. Default 1s to 60s."
    )
    endpoint: Endpoint | None = Field(
        default=None, description="Other base addresses than the exchange's public ones. Default: the public ones."
    )


class Credentials(Section):
    """Which Secret holds the API key of the account. Only collector pods get it; the operator never reads a Secret."""

    secret_name: DnsName = Field(
        description="Secret of the same namespace with the keys apiKey, secretKey and passphrase; a read-only API key "
        "suffices. It is mounted read-only into the pods of the first shard, and never read by the operator. A changed "
        "key is used with the next connection. Required."
    )
