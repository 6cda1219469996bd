#!/usr/bin/env python3
"""Check the language of documents, descriptions, messages, docstrings, comments and names.

    hack/prose.py                 every file of the repository
    hack/prose.py PATH...         the files below these paths
    hack/prose.py --summary       number of findings by directory and rule

Prints `file:line: finding (what to write instead) [rule]` and exits with 1 when there is a finding.
`prose: ignore[word] reason` or `prose: ignore[rule] reason` accepts a finding. Put it in a comment on the same line, on
the line above, or directly after a docstring. Vocabulary and limits are in prose.toml, beside this file.
"""

import argparse
import ast
import fnmatch
import gc
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).with_name("prose.toml")
PROSE = ("paragraph", "cell", "heading", "description", "message", "docstring", "comment", "test")
SENTENCES = ("paragraph", "description", "docstring", "comment")

FENCE = re.compile(r"\s*(```|~~~)")
ITEM = re.compile(r"\s*(?:[-*+•]|\d+[.)]|[a-z][.)])\s+|\s{2,}[\w.]+: ")
SECTION = re.compile(r"\s*(?:Raises|Args|Returns|Yields|Attributes|Usage|Examples?|Sources?):\s*$")
DRAWING = re.compile(r"[┌┐└┘├┤│─▶◀▲▼═║]|\S {3,}\S|^\s*\+?[-=]{4,}")
CODE_SPAN = re.compile(r"(`+)(?!`)[^\n]*?(?:\n[^\n]*?)?\1(?!`)")
LINK_TARGET = re.compile(r"\]\([^)\s]*\)|https?://\S+")
HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
SCRIPTS = (".sh", ".yaml", ".yml", ".tpl", ".toml", "Makefile", "Dockerfile")
QUOTED_NAME = re.compile(r"\"[\w.=/-]+\"|(?<!\w)'[\w.=/-]+'")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|approx|no|No|incl)\.|\.{3}")
SENTENCE_END = re.compile(r"(?<!^\d)[.!?]+[\"')\]*_]*(?=\s+[\"'(\[*_]*[A-Z\d])")
JOINT = re.compile(r"(?:\"\"\"|'''|[\"'])(?:\s*\\?\n\s*)[rbfuRBFU]*(?:\"\"\"|'''|[\"'])")
PLACEHOLDER = re.compile(r"\{[^{}\n]*\}|%[sdrf]\b|%\(\w+\)[sd]")
DATA = re.compile(r"\{\\?\"|\bself\.|^\s*[\[{<]")  # JSON, CEL, HTML
DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|pragma|fmt:|ruff:|shellcheck|prose:|!)|#!")
IGNORE = re.compile(r"(?:#|//|/\*|<!--)\s*prose: ignore\[([^\]]+)\][ \t]*([^\n]*?)\s*(?:-->|\*/|$)", re.MULTILINE)
REFERENCE = re.compile(r"(?<![\w/.])[\w./-]*\w\.md\b")
INTERESTING = (
    *(ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.arg, ast.Name, ast.Attribute),
    *(ast.Constant, ast.JoinedStr),
)
FEW = 100  # files for which starting another process takes longer than it saves
LEAVES = (ast.Constant, ast.Name, ast.expr_context, ast.operator, ast.cmpop)
CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z\d]+|[A-Z\d]+")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of prose: its scope, its first line and its text, with the file's own line breaks."""

    scope: str
    line: int
    text: str
    raw: str = ""

    @property
    def last(self) -> int:
        """Number of the last line."""
        return self.line + self.text.count("\n")

    def line_of(self, offset: int) -> int:
        """Number of the line at an offset of the text."""
        return self.line + self.text.count("\n", 0, offset)


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation; `key` is what an ignore comment names, `span` the lines where it may stand."""

    path: str
    line: int
    rule: str
    key: str
    message: str
    span: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Word:
    """A banned word or phrase: its pattern, the replacement, the scopes and paths where it is banned."""

    word: str
    pattern: re.Pattern[str]
    instead: str
    scopes: frozenset[str]
    paths: tuple[str, ...] = ()
    allowed: re.Pattern[str] | None = None

    @classmethod
    def read(cls, entry: dict[str, Any]) -> "Word":
        """Build a word from its entry in prose.toml."""
        kinds = entry.get("in", ["prose", "name"])
        scopes = {each for kind in kinds for each in (PROSE if kind == "prose" else (kind,))}
        allowed = re.compile(_spaced(entry["except"]), re.IGNORECASE) if "except" in entry else None
        pattern = re.compile(_bounded(entry["match"]), re.IGNORECASE)
        return cls(entry["word"], pattern, entry["instead"], frozenset(scopes), tuple(entry.get("paths", ())), allowed)

    def find(self, segment: Segment) -> Iterator[re.Match[str]]:
        """Matches in the segment that no exception covers."""
        spans = [match.span() for match in self.allowed.finditer(segment.text)] if self.allowed else []
        for match in self.pattern.finditer(segment.text):
            if not any(start <= match.start() and match.end() <= end for start, end in spans):
                yield match


def _spaced(pattern: str) -> str:
    return pattern.replace(" *", r"\s*").replace(" ", r"\s+")


def _bounded(pattern: str) -> str:
    return rf"(?<![\w./=])(?<!--)(?:{_spaced(pattern)})(?![\w/=]|\.\w)"


@dataclass(slots=True)
class Config:
    """The contents of prose.toml."""

    words: list[Word]
    any_word: re.Pattern[str]
    names: list[dict[str, Any]]
    modules: list[dict[str, Any]]
    kept_names: frozenset[str]
    limits: dict[str, int]
    sizes: dict[str, dict[str, int]]
    exclude: list[str]
    accepted: list[dict[str, str]]
    references: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def read(cls, path: Path) -> "Config":
        """Read the file."""
        data = tomllib.loads(path.read_text())
        words = [Word.read(each) for each in data["word"]]
        any_word = re.compile(_bounded("|".join(each["match"] for each in data["word"])))
        tables = (data["names"], data["modules"], frozenset(data["kept_names"]["names"]), data["limits"], data["sizes"])
        return cls(words, any_word, *tables, data["exclude"]["paths"], data.get("accepted", []))


def below(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns (a directory that ends in /, a file or a glob) covers the path."""
    return any(path.startswith(each) if each.endswith("/") else fnmatch.fnmatch(path, each) for each in patterns)


# Extraction: what is prose in a file.


def blank(match: re.Match[str]) -> str:
    """Replace a match by spaces and keep its line breaks."""
    return re.sub(r"[^\n]", " ", match.group())


def one_word(match: re.Match[str]) -> str:
    """Replace a match by one capitalised word of the same length and keep its line breaks."""
    return re.sub(r"[^\n]", "X", match.group())


def masked(text: str) -> str:
    """Hide code spans, quoted names, link targets and the periods of abbreviations, at unchanged offsets."""
    text = CODE_SPAN.sub(one_word, text) if "`" in text else text
    text = LINK_TARGET.sub(blank, text)
    text = QUOTED_NAME.sub(one_word, text)
    return ABBREVIATION.sub(lambda match: match.group().replace(".", "·"), text)


def blocks(lines: Sequence[str], first: int, scope: str) -> Iterator[Segment]:
    """Split text into paragraphs, list items, table rows and headings; skip code and drawings."""
    current: list[str] = []
    start, fenced, listed, after_blank = first, False, False, True
    for number, line in enumerate([*lines, ""], first):
        kind = "fence" if FENCE.match(line) else "code" if fenced else kind_of(line, after_blank and not listed)
        if kind != "text" and current:
            yield Segment(scope, start, masked("\n".join(current)), "\n".join(current))
            current = []
        if kind == "fence":
            fenced = not fenced
        elif kind in ("cell", "heading"):
            yield Segment(kind if scope == "paragraph" else "cell", number, masked(line), line)
        elif kind in ("item", "text"):
            start = number if not current else start
            marker = ITEM.match(line) if kind == "item" else None
            current.append(" " * marker.end() + line[marker.end() :] if marker else line)
        listed = kind == "item" or (listed and kind in ("text", "blank") and (line[:1] in " \t" or not line))
        after_blank = kind in ("blank", "code")


def kind_of(line: str, may_be_code: bool) -> str:
    """Tell blank lines, table rows, headings, list items, drawings and text apart."""
    stripped = line.strip()
    if not stripped:
        return "blank"
    if stripped.startswith("|"):
        return "cell"
    if stripped.startswith("#") or SECTION.match(line):
        return "heading"
    if ITEM.match(line):
        return "item"
    return "code" if DRAWING.search(line) or (may_be_code and line.startswith("    ")) else "text"


def markdown(source: str) -> Iterator[Segment]:
    """Segments of a document."""
    return blocks(HTML_COMMENT.sub(blank, source).split("\n"), 1, "paragraph")


@dataclass(slots=True)
class Literal:
    """A string literal of Python source: first and last line and the byte columns of its ends."""

    line: int
    column: int
    last: int
    end: int
    docstring: bool


def python(source: str) -> Iterator[Segment]:
    """Segments of a Python file: docstrings, other strings, comments and the names that it binds."""
    lines = source.encode().split(b"\n")
    inside: set[int] = set()
    docstrings: set[int] = set()
    literals: list[Literal] = []
    tree = ast.parse(source)  # kept, so that the ids of its nodes stay unique
    for node in nodes(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(child) for child in ast.walk(node) if child is not node)
        elif (docstring := docstring_of(node)) is not None:
            docstrings.add(id(docstring))
        if id(node) not in inside and (isinstance(node, ast.JoinedStr) or _is_string(node)):
            literals.append(_literal(node, id(node) in docstrings))
        for name, line, kind in bound_names(node):
            yield Segment("test" if name.startswith("test_") else "name", line, name, kind)
    for literal in literals:
        yield from string_segments(literal, lines)
    yield from hash_comments(python_comments(source, lines, literals))


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of interest, parents first; ast.walk takes three times as long."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, INTERESTING):
            yield node
        if isinstance(node, LEAVES):
            continue
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                stack.append(value)
            elif isinstance(value, list):
                stack.extend(each for each in value if isinstance(each, ast.AST))


def docstring_of(node: ast.AST) -> ast.AST | None:
    """The string at the start of a module, class or function."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
        first = node.body[0]
        if isinstance(first, ast.Expr) and _is_string(first.value):
            return first.value
    return None


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _literal(node: Any, docstring: bool) -> Literal:
    return Literal(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, docstring)


def bound_names(node: ast.AST) -> Iterator[tuple[str, int, str]]:
    """Names that a node binds, with their lines and whether each is a definition or a variable."""
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name, node.lineno, "definition"
        case ast.arg():
            yield node.arg, node.lineno, "variable"
        case ast.Name(ctx=ast.Store()):
            yield node.id, node.lineno, "definition" if node.id.isupper() else "variable"
        case ast.Attribute(ctx=ast.Store()):
            yield node.attr, node.lineno, "variable"


def string_segments(literal: Literal, lines: Sequence[bytes]) -> Iterator[Segment]:
    """Prose of a string literal, as it stands in the source and without its quotes."""
    rows = list(lines[literal.line - 1 : literal.last])
    rows[-1] = rows[-1][: literal.end]
    rows[0] = b" " * literal.column + rows[0][literal.column :]
    text = JOINT.sub(blank, b"\n".join(rows).decode(errors="replace"))
    text = re.sub(r"^(\s*)[rbfuRBFU]*(\"\"\"|'''|[\"'])", lambda match: " " * len(match.group()), text)
    text = re.sub(r"(\"\"\"|'''|[\"'])$", blank, text)
    if literal.docstring:
        yield Segment("docstring-form", literal.line, text)
        body = text.split("\n")
        margin = min((len(row) - len(row.lstrip()) for row in body[1:] if row.strip()), default=0)
        yield from blocks([body[0].strip(), *(row[margin:] for row in body[1:])], literal.line, "docstring")
        return
    shown = PLACEHOLDER.sub(one_word, text.replace("\\n", "  "))
    if shown.strip().count(" ") >= 2 and not DATA.search(shown):
        yield Segment("message", literal.line, masked(shown), text)


def python_comments(source: str, lines: Sequence[bytes], literals: Iterable[Literal]) -> Iterator[tuple[int, int, str]]:
    """Line, column and text of each comment: a # that is in no string."""
    if "#" not in source:
        return
    taken: dict[int, list[tuple[int, int]]] = {}
    for each in literals:
        for number in range(each.line, each.last + 1):
            start = each.column if number == each.line else 0
            taken.setdefault(number, []).append((start, each.end if number == each.last else sys.maxsize))
    for number, line in enumerate(lines, 1):
        for match in re.finditer(rb"#", line):
            if not any(start <= match.start() < end for start, end in taken.get(number, ())):
                yield number, match.start(), line[match.start() :].decode(errors="replace")
                break


def script_comments(source: str) -> Iterator[tuple[int, int, str]]:
    """Comments of shell scripts, YAML, TOML, Makefiles and Dockerfiles."""
    for number, line in enumerate(source.split("\n"), 1):
        match = re.search(r"(?:^|\s)(#+.*)$", line)
        if match and line[: match.start(1)].count('"') % 2 == 0 and line[: match.start(1)].count("'") % 2 == 0:
            yield number, match.start(1), match.group(1)


def slash_comments(source: str) -> Iterator[tuple[int, int, str]]:
    """Comments of Go and C."""
    for number, line in enumerate(source.split("\n"), 1):
        if match := re.search(r"(?:^|\s)(?://|/\*|\*(?=\s))(.*?)(?:\*/)?$", line):
            yield number, match.start(1), "#" + match.group(1)


def hash_comments(comments: Iterable[tuple[int, int, str]]) -> Iterator[Segment]:
    """Join the comments of consecutive lines at one column, and split them into paragraphs."""
    group: list[str] = []
    first = number = column = -1
    for line, at, text in comments:
        if line != number + 1 or at != column:
            yield from blocks(group, first, "comment")
            group, first = [], line
        group.append("" if DIRECTIVE.match(text) else re.sub(r"^#+ ?", "", text))
        number, column = line, at
    yield from blocks(group, first, "comment")


def descriptions(source: str) -> Iterator[Segment]:
    """`description:` and `message:` values of a CRD."""
    lines = source.split("\n")
    for index, line in enumerate(lines):
        if not (match := re.match(r"(\s*(?:- )?)(description|message): (.*)", line)):
            continue
        rows = ["" if match.group(3).rstrip() in ("|", "|-", ">", ">-") else match.group(3)]
        for row in lines[index + 1 :]:
            if row.strip() and len(row) - len(row.lstrip()) <= len(match.group(1)):
                break
            rows.append(row.strip())
        yield from blocks(rows, index + 1, match.group(2))


def json_descriptions(source: str) -> Iterator[Segment]:
    """`description` values of a JSON schema."""
    for number, line in enumerate(source.split("\n"), 1):
        for match in re.finditer(r'"description": *"((?:[^"\\]|\\.)*)"', line):
            yield from blocks([match.group(1)], number, "description")


def printed(source: str) -> Iterator[Segment]:
    """Strings that a shell script prints."""
    for number, line in enumerate(source.split("\n"), 1):
        if re.search(r"\b(?:echo|printf|fail|die|say|step|note)\b", line) and not line.lstrip().startswith("#"):
            for match in re.finditer(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'", line):
                text = match.group(1) or match.group(2) or ""
                if text.count(" ") >= 2:
                    yield Segment("message", number, masked(text), text)


def extract(path: str, source: str) -> Iterator[Segment]:
    """Segments of a file, by its kind."""
    suffix, name = Path(path).suffix, Path(path).name
    if suffix == ".md":
        yield from markdown(source)
    elif suffix == ".py":
        yield from python(source)
    elif suffix in (".go", ".c"):
        yield from hash_comments(slash_comments(source))
    elif suffix == ".json" and "schema" in name:
        yield from json_descriptions(source)
    elif name == "NOTES.txt":
        yield from (Segment("message", at, masked(line), line) for at, line in enumerate(source.split("\n"), 1))
    elif (suffix or name) in SCRIPTS or source.startswith("#!"):
        yield from hash_comments(script_comments(source))
        if path.startswith("crds/"):
            yield from descriptions(source)
        elif suffix in (".sh", ""):
            yield from printed(source)


@cache
def spoken(name: str) -> str:
    """The words of an identifier in lowercase."""
    return " ".join(CAMEL.findall(name)).lower()


# Rules: each takes a segment or a file and yields findings.


@dataclass(slots=True)
class Checker:
    """Applies the rules to one file at a time."""

    config: Config

    def check(self, path: str, source: str) -> list[Finding]:
        """Findings of a file that no ignore comment accepts, and ignore comments of no use."""
        found = [*self.file_rules(path, source)]
        for segment in extract(path, source):
            found.extend(self.segment_rules(path, segment))
        return sorted(self.ignored(path, source, found), key=lambda each: (each.line, each.rule, each.message))

    def segment_rules(self, path: str, segment: Segment) -> Iterator[Finding]:
        """Findings of one segment."""
        if segment.scope == "docstring-form":
            yield from self.docstring(path, segment)
            return
        if segment.scope in ("name", "test"):
            yield from self.identifier(path, segment)
            return
        yield from self.vocabulary(path, segment)
        yield from self.references(path, segment)
        if segment.scope in SENTENCES:
            yield from self.sentences(path, segment)
        if segment.scope == "paragraph":
            yield from self.paragraph(path, segment)

    def vocabulary(self, path: str, segment: Segment) -> Iterator[Finding]:
        """Banned words and phrases."""
        if not self.config.any_word.search(segment.text.lower()):  # one search for most segments, not one a word
            return
        for word in self.config.words:
            if segment.scope not in word.scopes or (word.paths and not below(path, word.paths)):
                continue
            for match in word.find(segment):
                shown = " ".join(match.group().split())
                yield self.finding(path, segment, "word", word.word, f'"{shown}" (write {word.instead})', match.start())

    def references(self, path: str, segment: Segment) -> Iterator[Finding]:
        """Documents that the repository does not have."""
        raw = segment.raw or segment.text
        if ".md" not in raw:
            return
        for match in REFERENCE.finditer(re.sub(r"https?://\S+", blank, raw)):
            name = Path(match.group()).name
            if name not in self.config.references and not re.search(r"NAME|NNNN|[<{]", name):
                message = f"{match.group()} is not in the repository (cite a document of the repository)"
                yield self.finding(path, segment, "reference", "reference", message, match.start())

    def sentences(self, path: str, segment: Segment) -> Iterator[Finding]:
        """Long sentences, and sentences with several colons or semicolons."""
        start = 0
        most = self.config.limits["sentence_words"]
        for end in [*(match.end() for match in SENTENCE_END.finditer(segment.text)), len(segment.text)]:
            sentence = segment.text[start:end]
            words = sum(any(char.isalnum() for char in word) for word in sentence.split())
            offset = start + len(sentence) - len(sentence.lstrip())
            if words > most:
                message = f"sentence of {words} words (at most {most}: split it)"
                yield self.finding(path, segment, "sentence", "sentence", message, offset)
            if len(re.findall(r"[:;](?=\s+\S)", sentence)) > 1:
                message = "several colons or semicolons in one sentence (at most one: split it)"
                yield self.finding(path, segment, "colons", "colons", message, offset)
            start = end

    def paragraph(self, path: str, segment: Segment) -> Iterator[Finding]:
        """Long paragraphs, and several sentences on a long line."""
        rows = (segment.raw or segment.text).split("\n")
        words, width = len(segment.text.split()), self.config.limits["columns"]
        lines, most = self.config.limits["paragraph_lines"], self.config.limits["paragraph_words"]
        if words > most and (len(rows) > lines or max(map(len, rows)) > width):
            allowed = f"at most {lines} lines or {most} words: split it or make a list"
            message = f"paragraph of {len(rows)} lines and {words} words ({allowed})"
            yield self.finding(path, segment, "paragraph", "paragraph", message, 0)
        for offset, row in enumerate(segment.text.split("\n")):
            if len(row.rstrip()) > width and SENTENCE_END.search(row):
                message = f"{len(row.rstrip())} columns with several sentences (wrap at {width} or one sentence a line)"
                line = segment.line + offset
                yield Finding(path, line, "wrap", "wrap", message, (line - 1, segment.last))

    def docstring(self, path: str, segment: Segment) -> Iterator[Finding]:
        """The first line of a docstring: on a line of its own, with a period, not a clause."""
        first, *rest = segment.text.split("\n")
        if not re.search(r"\.[)\"'`]*$", first.strip()):
            message = "first line of the docstring has no period at its end (one sentence on a line of its own)"
            yield self.finding(path, segment, "docstring", "docstring", message, 0)
        if rest and rest[0].strip():
            message = "no blank line after the first line of the docstring (the first line stands by itself)"
            yield self.finding(path, segment, "docstring", "docstring", message, 0)
        if match := re.match(r"\s*(What|Where|Who|Whoever|How|Why|When|That|If|Which)\b", first):
            message = f'docstring starts with the clause "{match.group(1)} ..." (start with an imperative or a noun)'
            yield self.finding(path, segment, "docstring", "docstring", message, 0)

    def identifier(self, path: str, segment: Segment) -> Iterator[Finding]:
        """Names with banned words, old names, and the form of test names."""
        name = segment.text
        if name.strip("_") in self.config.kept_names:
            return
        for entry in self.config.names:
            if segment.raw == "definition" and below(path, entry["paths"]) and name in entry["renames"]:
                yield self.finding(path, segment, "name", name, f"name {name} (write {entry['renames'][name]})", 0)
        for found in self.vocabulary(path, Segment(segment.scope, segment.line, spoken(name))):
            yield Finding(path, found.line, "name", found.key, f"name {name}: {found.message}", found.span)
        if segment.scope == "test":
            yield from self.test_name(path, segment)

    def test_name(self, path: str, segment: Segment) -> Iterator[Finding]:
        """Long test names and private letters in them."""
        name, most = segment.text, self.config.limits["test_name"]
        if len(name) > most:
            message = f"test name of {len(name)} characters (at most {most}: state the promise in a docstring)"
            yield self.finding(path, segment, "test-name", "test-name", message, 0)
        if re.match(r"test_[b-z]\d*_", name) or re.search(r"_[a-z]$|_decision_\d", name):
            message = "private letter or number in the test name (write test_<subject>_<expected>[_when_<condition>])"
            yield self.finding(path, segment, "test-name", "test-name", message, 0)

    def file_rules(self, path: str, source: str) -> Iterator[Finding]:
        """Sizes of documents and names of files."""
        for pattern, limits in self.config.sizes.items():
            if re.fullmatch(pattern.replace(".", r"\.").replace("*", "[^/]*"), path):
                yield from self.size(path, source, limits)
                break
        stem = Path(path).stem
        for entry in self.config.modules:
            if path.endswith(".py") and below(path, entry["paths"]) and stem in entry["renames"]:
                message = f"module {stem} (write {entry['renames'][stem]})"
                yield Finding(path, 1, "name", stem, message, (1, 1))
        if re.match(r"test_[a-z]\d?_\w+\.py", Path(path).name):
            message = "private letter in the file name (name the module or the subject)"
            yield Finding(path, 1, "test-name", "test-name", message, (1, 1))

    def size(self, path: str, source: str, limits: dict[str, int]) -> Iterator[Finding]:
        """The size of a document in words and lines."""
        actual = {"words": len(source.split()), "lines": source.count("\n")}
        for name, limit in limits.items():
            bound, unit = name.split("_")
            if (actual[unit] > limit) if bound == "max" else (actual[unit] < limit):
                allowed = "at most" if bound == "max" else "at least"
                advice = "shorten it or split it" if bound == "max" else "state context and reasons"
                message = f"document of {actual[unit]} {unit} ({allowed} {limit}: {advice})"
                yield Finding(path, 1, "size", "size", message, (1, 1))

    def finding(self, path: str, segment: Segment, rule: str, key: str, message: str, offset: int) -> Finding:
        """A finding at an offset of a segment, which an ignore comment accepts beside the segment."""
        return Finding(path, segment.line_of(offset), rule, key, message, (segment.line - 1, segment.last + 1))

    def ignored(self, path: str, source: str, found: Iterable[Finding]) -> Iterator[Finding]:
        """Drop what an ignore comment accepts; report ignore comments without a reason or a use."""
        marks = [(source.count("\n", 0, match.start()) + 1, match) for match in IGNORE.finditer(source)]
        used: set[int] = set()
        for each in found:
            beside = [(at, mark.group(1)) for at, mark in marks if each.span[0] <= at <= each.span[1]]
            fits = {at for at, key in beside if key in (each.key, each.rule)}
            used |= fits
            if not fits and not self.accepts(each):
                yield each
        for at, mark in marks:
            problem = f"ignore[{mark.group(1)}] of no use (remove it)" if at not in used else ""
            if problem := problem if mark.group(2) else "ignore without a reason (write the reason after it)":
                yield Finding(path, at, "ignore", "ignore", problem, (at, at))

    def accepts(self, found: Finding) -> bool:
        """Whether [[accepted]] in prose.toml covers a finding, for files that cannot hold a comment."""
        return any(each["path"] == found.path and each["key"] == found.key for each in self.config.accepted)


# Command line.


def git(directory: Path, *arguments: str) -> str:
    """Output of a git command."""
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603


def scan(root: Path, config: Config, chosen: Sequence[str]) -> list[Finding]:
    """Findings of the chosen paths, or of all files of the repository (new ones, too, unless git ignores them)."""
    files = set(git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"))
    config.references = frozenset(Path(each).name for each in files if each.endswith(".md"))
    places = [each if (root / each).is_file() else "" if each == "." else f"{each}/" for each in chosen]
    for place, each in zip(places, chosen, strict=True):
        if not any(path.startswith(place) for path in files):
            raise SystemExit(f"{each}: not a file or directory of the repository. Name one that git lists.")
    paths = sorted(path for path in files if not chosen or any(path.startswith(each) for each in places))
    paths = [path for path in paths if not below(path, config.exclude) and (root / path).is_file()]
    if len(paths) < FEW:
        return check_files(root, config, paths)
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        parts = pool.map(check_files, repeat(root), repeat(config), [paths[at::workers] for at in range(workers)])
        return sorted((found for part in parts for found in part), key=lambda each: (each.path, each.line))


def check_files(root: Path, config: Config, paths: Sequence[str]) -> list[Finding]:
    """Findings of several files."""
    gc.disable()  # the syntax trees are short-lived: collecting costs more than parsing them
    return [found for path in paths for found in Checker(config).check(path, read(root / path))]


def read(path: Path) -> str:
    """Text of a file, or nothing when it is binary."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def summary(found: Iterable[Finding]) -> str:
    """Table of findings by directory and rule."""
    counts: Counter[tuple[str, str]] = Counter()
    for each in found:
        parts = each.path.split("/")
        counts["/".join(parts[: min(len(parts) - 1, 4)]) or each.path, each.rule] += 1
    rules = sorted({rule for _, rule in counts})
    places = sorted({place for place, _ in counts})
    rows = [["directory", *rules, "all"]]
    for place in places:
        numbers = [counts[place, rule] for rule in rules]
        rows.append([place, *map(str, numbers), str(sum(numbers))])
    totals = [sum(counts[place, rule] for place in places) for rule in rules]
    rows.append(["all", *map(str, totals), str(sum(totals))])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the paths of the command line; 1 when there is a finding."""
    parser = argparse.ArgumentParser(description="Check the language of the repository.")
    parser.add_argument("paths", nargs="*", type=Path, help="files or directories (default: the repository)")
    parser.add_argument("--summary", action="store_true", help="print the number of findings by directory and rule")
    options = parser.parse_args(arguments)
    start = next((each if each.is_dir() else each.parent for each in options.paths), Path())
    root = Path(git(start, "rev-parse", "--show-toplevel").strip())
    config = Config.read(CONFIG)
    found = scan(root, config, [str(each.resolve().relative_to(root)) for each in options.paths])
    if options.summary:
        print(summary(found))
        return 0
    print(*found, sep="\n" if found else "", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
