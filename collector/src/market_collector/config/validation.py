"""Everything that is wrong with a document, not only the first thing: pure, over plain data.

Two passes: limits of single values (from the types in ``spec.py``), then rules between fields. A rule runs only when
the fields that it needs are themselves sound, so that one mistake is not reported twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from market_collector.config.spec import SYSTEM_DIRECTORIES, CollectorDocument, Resource, Spec, duration_s
from market_collector.model.streams import DataType

Path = tuple[str | int, ...]
"""Where a value stands: ``("spec", "dataTypes", 1)``."""


class Fault(NamedTuple):
    """One thing that is wrong, where, and what would be right."""

    path: Path
    text: str


class Capabilities(NamedTuple):
    """What one exchange offers."""

    data_types: frozenset[DataType]
    book_depths: tuple[int, ...]
    candle_intervals: tuple[str, ...]


CapabilitiesByName = Mapping[str, Capabilities]
"""Every exchange that the collector knows, by name."""


def path_text(path: Path) -> str:
    """``spec.dataTypes[1]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def faults(document: object, offers: CapabilitiesByName) -> list[Fault]:
    """All that is wrong with a document: a resource or the operator's collector document, as plain data."""
    kind = CollectorDocument if isinstance(document, dict) and "contract" in document else Resource
    found = list(_check(_limits(kind), document, ()))
    spec = document.get("spec") if isinstance(document, dict) else None
    if isinstance(spec, dict):
        found += _between_fields(spec, {fault.path[1] for fault in found if fault.path[0] == "spec"}, offers)
    return found


@cache
def _limits(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


# --- single values ---------------------------------------------------------------------------------------------------


def _check(kind: inspect.Type, value: object, path: Path, words: Mapping[str, Any] | None = None) -> Iterator[Fault]:
    match kind:
        case inspect.Metadata():
            yield from _check(kind.type, value, path, kind.extra)
        case inspect.UnionType():  # only "X or null": a null was taken as absent before
            some = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
            yield from _check(some, value, path, words)
        case inspect.StructType():
            yield from _check_mapping(kind, value, path)
        case inspect.VarTupleType():
            yield from _check_list(kind, value, path, words or {})
        case inspect.StrType():
            yield from _check_text(kind, value, path, words or {})
        case inspect.IntType():
            yield from _check_number(kind, value, path)
        case inspect.LiteralType():
            if value not in kind.values or isinstance(value, bool):
                yield Fault(path, f"{shown(value)} is not known; allowed: {_choices(kind.values)}")
        case _:
            yield from _check_plain(kind, value, path)


def _check_mapping(kind: inspect.StructType, value: object, path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path, f"must be a mapping (field: value), not {_named(value)}")
        return
    fields = {field.encode_name: field for field in kind.fields}
    if kind.forbid_unknown_fields:
        for name in [key for key in value if key not in fields]:
            yield Fault((*path, str(name)), unknown_field(str(name), list(fields)))
    for name, field in fields.items():
        if value.get(name) is not None:
            yield from _check(field.type, value[name], (*path, name))
        elif field.required:
            yield Fault((*path, name), "is required but missing")


def unknown_field(name: str, known: Sequence[str]) -> str:
    """What is wrong with a field that is not among the known ones, and which was meant."""
    import difflib  # only for those who need the hint

    near = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"there is no such field{hint}; allowed: {_choices(known)}"


def _check_list(kind: inspect.VarTupleType, value: object, path: Path, words: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(path, f"must be a list, not {_named(value)}")
        return
    least, most = kind.min_length or 0, kind.max_length
    if len(value) < least or (most is not None and len(value) > most):
        yield Fault(path, f"has {counted(len(value), 'item')}; allowed: {least} to {most}")
    seen: list[object] = []
    for number, item in enumerate(value):
        if words.get("unique") and item in seen:
            yield Fault((*path, number), f"{shown(item)} stands here twice; name each only once")
        else:
            yield from _check(kind.item_type, item, (*path, number))
        seen.append(item)


def _check_text(kind: inspect.StrType, value: object, path: Path, words: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield Fault(path, f"must be text, not {_named(value)}" + _quote_hint(value))
    elif value not in words.get("choices", (value,)):
        yield Fault(path, f"{shown(value)} is not known; allowed: {_choices(words['choices'])}")
    elif not _is_text_within(kind, value) or not _is_duration_within(value, words.get("bounds_s")):
        yield Fault(path, f"{shown(value)} is not {words['what']}; allowed: {words['allowed']}")


def _is_text_within(kind: inspect.StrType, value: str) -> bool:
    """Like the API server's RE2, ``$`` means the very end: Python's would let a trailing newline pass."""
    pattern = re.sub(r"\$\Z", r"\\Z", kind.pattern or "")
    return bool(re.search(pattern, value)) and (kind.min_length or 0) <= len(value) <= (kind.max_length or len(value))


def _is_duration_within(value: str, bounds_s: tuple[float, float] | None) -> bool:
    return bounds_s is None or bounds_s[0] <= duration_s(value) <= bounds_s[1]


def _quote_hint(value: object) -> str:
    return f'; put it in quotes: "{value}"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _check_number(kind: inspect.IntType, value: object, path: Path) -> Iterator[Fault]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield Fault(path, f"must be a whole number, not {_named(value)}")
    elif not (kind.ge is None or kind.ge <= value) or not (kind.le is None or value <= kind.le):
        allowed = f"{kind.ge} to {kind.le}" if kind.le is not None else f"at least {kind.ge}"
        yield Fault(path, f"{value} is out of bounds; allowed: {allowed}")


def _check_plain(kind: inspect.Type, value: object, path: Path) -> Iterator[Fault]:
    if isinstance(kind, inspect.BoolType) and not isinstance(value, bool):
        yield Fault(path, f"must be true or false, not {_named(value)}")
    if isinstance(kind, inspect.DictType) and not isinstance(value, dict):
        yield Fault(path, f"must be a mapping (field: value), not {_named(value)}")


# --- between fields --------------------------------------------------------------------------------------------------


def _between_fields(raw: dict[str, Any], unsound: set[str | int], offers: CapabilitiesByName) -> Iterator[Fault]:
    sound = {name: value for name, value in raw.items() if name not in unsound}
    spec = msgspec.convert({"exchange": "", "dataTypes": ["trade"], **sound}, Spec)
    for needed, rule in _RULES:
        if not unsound.intersection(needed):
            for fault in rule(spec, offers):
                yield Fault(("spec", *fault.path), fault.text)


def _exchange_is_known(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    if spec.exchange not in offers:
        yield Fault(("exchange",), f"{shown(spec.exchange)} is not an exchange; allowed: {_choices(sorted(offers))}")


def _one_way_to_name_symbols(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    if spec.symbol is not None and spec.symbols is not None:
        yield Fault(("symbols",), "symbol and symbols are both given; allowed: exactly one of the two")
    if spec.symbol is None and spec.symbols is None:
        yield Fault(("symbol",), "neither symbol nor symbols is given; allowed: exactly one of the two")


def _data_types_are_offered(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    offer = offers.get(spec.exchange)
    allowed = _choices([each for each in DataType if offer is None or each in offer.data_types])
    for number, name in enumerate(spec.data_types):
        if name not in list(DataType):
            yield Fault(("dataTypes", number), f"{shown(name)} is not a data type; allowed: {allowed}")
        elif offer is not None and name not in offer.data_types:
            yield Fault(("dataTypes", number), f"{shown(name)} is not offered by {spec.exchange}; allowed: {allowed}")


def _blocks_belong_to_data_types(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    blocks = {DataType.ORDERBOOK: spec.orderbook, DataType.CANDLE: spec.candle}
    for data_type, block in blocks.items():
        if block is not None and data_type not in spec.data_types:
            yield Fault((data_type.value,), f"is allowed only when dataTypes holds {data_type}")


def _credentials_are_for_balance(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    if DataType.BALANCE in spec.data_types and spec.credentials is None:
        yield Fault(("credentials",), "is required with data type balance: credentials: {secretName: NAME}")
    if DataType.BALANCE not in spec.data_types and spec.credentials is not None:
        yield Fault(("credentials",), "is allowed only when dataTypes holds balance")


def _balance_alone_is_one_shard(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    if spec.shards > 1 and set(spec.data_types) == {DataType.BALANCE}:
        yield Fault(("shards",), f"{spec.shards} shards for one account; allowed: 1 when balance is the only data type")


def _depth_is_offered(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    offer = offers.get(spec.exchange)
    if offer is not None and spec.orderbook is not None and spec.orderbook.depth not in offer.book_depths:
        text = f"{spec.exchange} has no book of {spec.orderbook.depth} levels; allowed: {_choices(offer.book_depths)}"
        yield Fault(("orderbook", "depth"), text)


def _intervals_are_offered(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    offer = offers.get(spec.exchange)
    intervals = spec.candle.intervals if spec.candle is not None else ()
    for number, interval in enumerate(intervals):
        if offer is not None and interval not in offer.candle_intervals:
            text = f"{spec.exchange} has no candles of {interval}; allowed: {_choices(offer.candle_intervals)}"
            yield Fault(("candle", "intervals", number), text)


def _backoff_grows(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    backoff = spec.connection.backoff
    if duration_s(backoff.initial) > duration_s(backoff.max):
        text = f"{backoff.initial} is more than max, {backoff.max}; allowed: initial at most max"
        yield Fault(("connection", "backoff", "initial"), text)


def _sinks_have_their_block(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    for number, sink in enumerate(spec.sinks):
        if sink.type == "file" and sink.file is None:
            yield Fault(("sinks", number, "file"), "is required for type file: file: {directory: /data}")
        if sink.type != "file" and sink.file is not None:
            yield Fault(("sinks", number, "file"), f"is allowed only for type file, not {sink.type}")


def _sinks_are_apart(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    names: set[str] = set()
    directories: set[str] = set()
    for number, sink in enumerate(spec.sinks):
        directory = sink.file.directory if sink.file is not None else ""
        if sink.name in names:
            yield Fault(("sinks", number, "name"), f"{shown(sink.name)} names another sink too; give each its own name")
        if directory in directories:
            text = f"{shown(directory)} is another sink's too; give each its own directory"
            yield Fault(("sinks", number, "file", "directory"), text)
        names.add(sink.name)
        directories.update([directory] if directory else [])


def _directories_are_for_data(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    for number, sink in enumerate(spec.sinks):
        directory = f"{sink.file.directory}/" if sink.file is not None else ""
        if directory.startswith(tuple(f"{taken}/" for taken in SYSTEM_DIRECTORIES)):
            text = f"{shown(directory[:-1])} is the system's; use a directory of your own, such as /data"
            yield Fault(("sinks", number, "file", "directory"), text)


def _claims_have_one_writer(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    if spec.replicas > 1 and any(sink.file is not None and sink.file.claim_name for sink in spec.sinks):
        text = f"{spec.replicas} pods would write to one claim; allowed: 1 when a sink has a claimName"
        yield Fault(("replicas",), text)


def _shards_have_symbols(spec: Spec, offers: CapabilitiesByName) -> Iterator[Fault]:
    count = len(spec.all_symbols())
    if count and spec.shards > count:
        yield Fault(
            ("shards",), f"{spec.shards} shards for {counted(count, 'symbol')}; allowed: at most one shard a symbol"
        )


Rule = Callable[[Spec, CapabilitiesByName], Iterator[Fault]]
_RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("exchange",), _exchange_is_known),
    (("symbol", "symbols"), _one_way_to_name_symbols),
    (("dataTypes",), _data_types_are_offered),
    (("dataTypes", "orderbook", "candle"), _blocks_belong_to_data_types),
    (("dataTypes", "credentials"), _credentials_are_for_balance),
    (("dataTypes", "shards"), _balance_alone_is_one_shard),
    (("exchange", "orderbook"), _depth_is_offered),
    (("exchange", "candle"), _intervals_are_offered),
    (("connection",), _backoff_grows),
    (("sinks",), _sinks_have_their_block),
    (("sinks",), _sinks_are_apart),
    (("sinks",), _directories_are_for_data),
    (("sinks", "replicas"), _claims_have_one_writer),
    (("symbol", "symbols", "shards"), _shards_have_symbols),
)


# --- words -----------------------------------------------------------------------------------------------------------


def shown(value: object) -> str:
    """A value as a person wrote it, short enough for a message."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def counted(count: int, noun: str) -> str:
    """``1 symbol``, ``2 symbols``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _named(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    kind = names.get(type(value), "a number")
    return kind if isinstance(value, (dict, list)) or value is None else f"{kind} ({shown(value)})"


def _choices(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)
