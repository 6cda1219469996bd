"""The requests of a connection and their answers. `conn_id` is the id of the connection."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from market_simulator.dialects.bybit.frames import compact
from market_simulator.engine.faults.messages import Kind, Outgoing

INVALID_ARGS: Final = "Params Error"


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `id` has the `req_id`, if the client has sent one."""

    op: str
    args: list[Any]
    id: Mapping[str, str] = field(default_factory=dict)


def read(text: str) -> Request | str:
    """Read a request, or return the error message."""
    try:
        message = json.loads(text)
        op, args = message["op"], message.get("args", [])
    except (ValueError, RecursionError) as error:
        return f"Failed to decode incoming data:{error}"
    except (LookupError, TypeError, AttributeError):
        return "error:invalid op"
    named = {"req_id": str(message["req_id"])} if "req_id" in message else {}
    return Request(str(op), args, named) if isinstance(args, list) else INVALID_ARGS


def answer(conn_id: str, request: Request, is_success: bool, message: str) -> Outgoing:
    """The answer to a whole request: `{"success":true,"ret_msg":"","conn_id":"...","req_id":"1","op":"subscribe"}`."""
    return reply({"success": is_success, "ret_msg": message, "conn_id": conn_id, **request.id, "op": request.op})


def error(conn_id: str, message: str) -> Outgoing:
    """The answer to a text that is not a request."""
    return reply({"success": False, "ret_msg": message, "conn_id": conn_id, "op": ""})


def reply(content: Mapping[str, Any]) -> Outgoing:
    """A message that belongs to no topic."""
    return Outgoing(Kind.REPLY, None, compact(content))
