"""Watch events, reduced before kopf parses them.

Most are about the operator's own writes, and the cache has them already from the API server's answers. To see that here
takes a small part of the time that kopf takes to hand an event over.

Any tenant can give an object the operator's labels. Parsed, one of 1.5 MB may take 40 MB. An error of kopf's parser
would end the operator.
"""

from collections.abc import Callable

import msgspec

from market_operator.cluster.kinds import COLLECTORS
from market_operator.cluster.nesting import shallow
from market_operator.cluster.pages import NESTED, Metadata, names
from market_operator.errors import ApiError, ObjectError
from market_operator.resource.document import Document
from market_operator.telemetry.containment import Containment

LARGE = 64 * 1024
"""Bytes of an event from which a custom resource is reduced. One with 1,000 symbols has 20 kB."""


class _Object(msgspec.Struct):
    apiVersion: str  # noqa: N815 - Kubernetes' name
    kind: str
    metadata: Metadata


class _Event(msgspec.Struct):
    type: str
    object: _Object


_EVENT = msgspec.json.Decoder(_Event)
_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])


def readable(line: bytes, containment: Containment) -> bytes | None:
    """The line of a watch event without values that are nested too deeply; None if kopf could not parse it.

    Both are reported. The next listing reads an object whose event was dropped.
    """
    event = shallow(line)
    try:
        event.decode()
        _LINE.decode(event)
    except ValueError as error:
        containment.report("WatchEvent", *names(line), error)
        return None
    if event is not line:
        containment.report("WatchEvent", *names(event), ApiError(0, "Malformed", NESTED))
    return event


def reduced(line: bytes, is_new: Callable[[str, Document], bool]) -> bytes:
    """The line of a watch event without what the cache need not read.

    A managed object or pod that is not new to the cache (`is_new`) becomes a bookmark, which only has its version. Of a
    large custom resource, only the metadata is left. What cannot be read stays: the handler of the event reports it.
    """
    try:
        event = _EVENT.decode(line)
        found = event.object
        if found.kind == COLLECTORS.name:
            return line if len(line) < LARGE else msgspec.json.encode(event)
        if is_new(found.kind, {"metadata": found.metadata}):
            return line
    except (msgspec.MsgspecError, ObjectError, ValueError):  # such as an error of the API server
        return line
    version = {"resourceVersion": found.metadata["resourceVersion"]}
    return msgspec.json.encode({"type": "BOOKMARK", "object": {"kind": found.kind, "metadata": version}})
