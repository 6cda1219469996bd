"""Reads files of YAML or JSON into plain data, with the line of each value.

JSON is read without PyYAML, because pods mount JSON and the import costs memory and start time. PyYAML then only finds
lines, when there is an error to report.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from market_collector.errors import InputError

if TYPE_CHECKING:
    import yaml

Path = tuple[str | int, ...]
Lines = dict[Path, int]

MAX_BYTES = 1 << 20
"""The limit of a ConfigMap, and a hundred times the largest sensible resource."""
MAX_VALUES = 100_000
"""Most values in a file after its aliases are followed; stops a bomb of nested anchors."""
MAX_DEPTH = 60
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class UnreadableError(InputError):
    """The file as a whole cannot be read."""

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        self.file, self.line, self.reason = file, line, reason
        self.before: list[Source] = []
        """The documents before the unreadable one."""
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")


class DuplicateKey(NamedTuple):
    """A key that appears twice in one mapping, so that its value is ambiguous."""

    path: Path
    line: int | None


class Source(msgspec.Struct, frozen=True):
    """One document of a file as plain data; a null is left out, as the API server does."""

    file: str
    data: object
    duplicates: tuple[DuplicateKey, ...]
    lines: Callable[[], Lines]

    def line(self, path: Path) -> int | None:
        """Line (from 1) of the value at ``path``, or of the nearest parent that exists."""
        lines = self.lines()
        while path and path not in lines:
            path = path[:-1]
        return lines.get(path)


def read(path: str) -> list[Source]:
    """The documents of a file, or of standard input for ``-``; never empty.

    Raises:
        UnreadableError: the file cannot be opened, is not UTF-8, neither YAML nor JSON, too large or empty.
    """
    name = "standard input" if path == "-" else path
    text = _decode(name, _bytes(path, name))
    documents = _json(name, text)
    if documents is None:
        documents = _yaml(name, text)
    if not documents:
        raise UnreadableError(name, None, "has no document. Give a MarketCollector resource")
    return documents


def _bytes(path: str, name: str) -> bytes:
    try:
        if path == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(name, None, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UnreadableError(name, None, f"is larger than {MAX_BYTES >> 20} MiB. Give a MarketCollector resource")
    return content


def _decode(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(name, line, f"is not UTF-8 text (byte {error.start})") from error


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(name: str, text: str) -> list[Source] | None:
    """The JSON documents in ``text``, one after the other; None when it is not JSON but perhaps YAML."""
    if not text.lstrip().startswith("{"):
        return None
    twice: list[str] = []
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: _mapping(pairs, twice))
    documents, position = [], 0
    try:
        while rest := text[position:].lstrip():
            start = len(text) - len(rest)
            data, position = decoder.raw_decode(text, start)
            documents.append(_json_source(name, data, text, start, position))
    except (ValueError, RecursionError):
        return None
    return None if twice else documents  # the YAML reader reports the lines of the duplicates


def _mapping(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    mapping = {key: value for key, value in pairs if value is not None}
    if len({key for key, _ in pairs}) < len(pairs):
        twice.append("")
    return mapping


def _json_source(name: str, data: object, text: str, start: int, end: int) -> Source:
    def lines() -> Lines:
        return _lines_of_json(name, "\n" * text.count("\n", 0, start) + text[start:end])

    return Source(name, data, (), lines)


# --- YAML ------------------------------------------------------------------------------------------------------------


def _yaml(name: str, text: str) -> list[Source]:
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # like JSON, where a tab is white space; YAML refuses it
    documents: list[Source] = []
    try:
        _read_documents(name, text, documents)
    except UnreadableError as error:
        error.before = documents
        raise
    return documents


def _read_documents(name: str, text: str, documents: list[Source]) -> None:
    import yaml

    try:
        loader = _loader(name, text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None and not _is_empty(node):
                documents.append(_Reader(name, loader).document(node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(name, mark.line + 1 if mark else None, _reason(error)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(name, line, f"has a control character ({error.character:#04x})") from error


def _loader(name: str, text: str) -> yaml.SafeLoader:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a document at its first level that is too deep: PyYAML takes hours for a megabyte of brackets."""

        depth = 0

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            self.depth += 1
            if self.depth > MAX_DEPTH + 1:
                line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
                raise UnreadableError(name, line, f"is nested deeper than {MAX_DEPTH} levels")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    return Loader(text)


def _lines_of_json(name: str, text: str) -> Lines:
    """Lines of a JSON text; empty where YAML reads it differently."""
    try:
        return next((source.lines() for source in _yaml(name, text)), {})
    except UnreadableError:
        return {}


def _is_empty(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if "\\t" in problem:
        return "a tab where YAML requires spaces. Indent with spaces"
    return f"is not YAML: {problem}" + (f" ({error.context})" if error.context else "")


class _Reader:
    """Turns one document's nodes into plain data, and records lines and duplicate keys."""

    def __init__(self, file: str, loader: yaml.SafeLoader) -> None:
        self._file = file
        self._loader = loader
        self._values = 0
        self._lines: Lines = {}
        self._duplicates: list[DuplicateKey] = []

    def document(self, node: yaml.Node) -> Source:
        self._lines[()] = node.start_mark.line + 1
        data = self._plain(node, ())
        lines = self._lines
        return Source(self._file, data, tuple(self._duplicates), lambda: lines)

    def _plain(self, node: yaml.Node, path: Path) -> object:
        import yaml

        line = node.start_mark.line + 1
        self._lines.setdefault(path, line)
        self._values += 1
        if self._values > MAX_VALUES:
            raise UnreadableError(self._file, line, f"has more than {MAX_VALUES} values. Remove aliases of aliases")
        if len(path) > MAX_DEPTH:
            raise UnreadableError(
                self._file, line, f"is nested deeper than {MAX_DEPTH} levels. Remove the alias that contains itself"
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, number)) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        mapping: dict[str, object] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key, line = self._key(key_node), key_node.start_mark.line + 1
            if key in seen:
                self._duplicates.append(DuplicateKey((*path, key), line))
            seen.add(key)
            self._lines.setdefault((*path, key), line)
            value = self._plain(value_node, (*path, key))
            mapping |= {key: value} if value is not None else {}
        return mapping

    def _key(self, node: yaml.Node) -> str:
        is_merge = node.tag == "tag:yaml.org,2002:merge"
        if is_merge or not isinstance(node.value, str):
            what = "merge keys (<<)" if is_merge else "lists and mappings as keys"
            raise UnreadableError(
                self._file, node.start_mark.line + 1, f"{what} are not supported. Write the fields out"
            )
        return node.value

    def _scalar(self, node: yaml.Node) -> object:
        if node.tag == "tag:yaml.org,2002:timestamp" or (node.tag in NUMBERS and ":" in node.value):
            return node.value  # 1:30 is a string: no duration of ours, and base 60 takes quadratic time
        try:
            return self._loader.construct_object(node)
        except ValueError as error:  # 99999...: more digits than Python converts
            raise UnreadableError(self._file, node.start_mark.line + 1, f"a value cannot be read: {error}") from error
