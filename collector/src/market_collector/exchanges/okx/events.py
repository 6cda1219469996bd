"""OKX events: acknowledgements, errors and notices on a connection."""

import msgspec

REFUSALS = {
    "60018": "SymbolNotFound",
    "51001": "SymbolNotFound",
    "60008": "ChannelNotOffered",
    "64001": "ChannelNotOffered",
    "64002": "ChannelNotOffered",
    "64003": "PermissionDenied",
}
"""Permanent error codes. All others are temporary (60014 too frequent, 64007 internal, ...)."""

WRONG_PARAMETER = "51000"


def refusal_reason(code: str, message: str) -> str | None:
    """Return the reason of a permanent error, on a connection or over REST; None for a temporary one.

    The message of 51000 names the wrong parameter.
    """
    if code == WRONG_PARAMETER and "instid" in message.lower():
        return "SymbolNotFound"
    return REFUSALS.get(code)


class Arg(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A channel of an instrument: ``{"channel":"trades-all","instId":"BTC-USDT"}``.

    One channel is about a type of instruments: ``{"channel":"liquidation-orders","instType":"SWAP"}``.
    """

    channel: str
    instId: str = ""
    instType: str = ""


class Event(msgspec.Struct, gc=False):
    """``{"id":"1","event":"subscribe","arg":{...},"connId":"a4d3ae55"}``; errors may lack ``arg``."""

    event: str
    id: str = ""
    arg: Arg | None = None
    code: str = ""
    msg: str = ""


read_event = msgspec.json.Decoder(Event).decode
read_arg = msgspec.json.Decoder(Arg).decode
