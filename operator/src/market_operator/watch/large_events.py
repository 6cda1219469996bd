"""Watch events of large or deeply nested objects, reduced before kopf parses them.

Any tenant can give an object the operator's labels. Parsed, one of 1.5 MB may take 40 MB. An error of kopf's parser
would end the operator.
"""

from collections.abc import Callable

import msgspec

from market_operator.cluster.kinds import COLLECTORS
from market_operator.cluster.nesting import shallow
from market_operator.cluster.pages import NESTED, Metadata, names
from market_operator.errors import ApiError
from market_operator.resource.document import Document
from market_operator.telemetry.containment import Containment

LARGE = 64 * 1024
"""Bytes of an event from which it is reduced. A Deployment has 6 kB."""


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
    """The line of a watch event without the content of a large object.

    Of a custom resource, only the metadata is read. An object that the cache need not read (`is_new`) becomes a
    bookmark, which only has its version.
    """
    if len(line) < LARGE:
        return line
    try:
        event = _EVENT.decode(line)
    except msgspec.MsgspecError:  # such as an error of the API server
        return line
    found = event.object
    if found.kind == COLLECTORS.name:
        return msgspec.json.encode(event)
    if is_new(found.kind, {"metadata": found.metadata}):
        return line
    version = {"resourceVersion": found.metadata["resourceVersion"]}
    return msgspec.json.encode({"type": "BOOKMARK", "object": {"kind": found.kind, "metadata": version}})
