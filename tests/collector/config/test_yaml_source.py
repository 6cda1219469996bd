"""Files become plain data with lines; an unreadable file is an error with its line, never a traceback."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.config.yaml_source import Source, UnreadableError, read


def write(folder: Path, content: str | bytes) -> str:
    path = folder / "a.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(write(folder, content))
    return str(caught.value).removeprefix(str(folder) + "/")


def only(folder: Path, content: str | bytes) -> Source:
    (one,) = read(write(folder, content))
    return one


def test_yaml_lines_are_those_of_the_file(tmp_path: Path) -> None:
    one = only(tmp_path, "# a comment\na:\n  b:\n  - 1\n  - 2\nc: {d: 3,\n    e: 4}\n")
    assert one.data == {"a": {"b": [1, 2]}, "c": {"d": 3, "e": 4}}
    assert [one.line(path) for path in [("a",), ("a", "b"), ("a", "b", 1), ("c", "e")]] == [2, 3, 5, 7]


def test_a_missing_value_has_the_line_of_its_parent(tmp_path: Path) -> None:
    assert only(tmp_path, "a: 1\nb:\n  c: 1\n").line(("b", "x", "y")) == 2


def test_several_documents_are_several_sources(tmp_path: Path) -> None:
    sources = read(write(tmp_path, "---\na: 1\n---\n# empty\n---\nb: 2\n...\n"))
    assert [(each.data, each.line(())) for each in sources] == [({"a": 1}, 2), ({"b": 2}, 6)]


def test_json_lines_are_found_when_asked_for(tmp_path: Path) -> None:
    one = only(tmp_path, '{\n\t"a": [1,\n\t\t2],\n\t"b\\/\\u0041": null}')
    assert one.data == {"a": [1, 2]}
    assert (one.line(("a", 1)), one.line(("a",))) == (3, 2)


def test_json_documents_may_follow_each_other(tmp_path: Path) -> None:
    first, second = read(write(tmp_path, '{"a": 1}\n\n{"b":\n 2}\n'))
    assert (first.line(("a",)), second.line(("b",))) == (1, 3)


def test_reading_json_does_not_load_the_yaml_parser(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps({"a": 1}))
    code = "import sys; from market_collector.config.yaml_source import read; read(sys.argv[1]); sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 0


def test_a_null_is_absent(tmp_path: Path) -> None:
    assert only(tmp_path, "a: null\nb: ~\nc:\nd: 1\n").data == {"d": 1}


def test_dates_and_keys_stay_strings(tmp_path: Path) -> None:
    assert only(tmp_path, "a: 2026-11-22\n1: x\nyes: y\n").data == {"a": "2026-11-22", "1": "x", "yes": "y"}


@pytest.mark.parametrize("content", ["a: 1\nb: 2\na: 3\n", '{"a": 1,\n"b": 2,\n"a": 3}'])
def test_a_duplicate_key_is_recorded(tmp_path: Path, content: str) -> None:
    assert only(tmp_path, content).duplicates == ((("a",), 3),)


def test_aliases_are_followed(tmp_path: Path) -> None:
    assert only(tmp_path, "a: &x [1]\nb: *x\n").data == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "a.yaml: has no document"),
        ("# nothing\n---\n", "a.yaml: has no document"),
        (b"a: \xff\n", "a.yaml:1: is not UTF-8 text (byte 3)"),
        ("a: 1\n\tb: 2\n", "a.yaml:2: a tab where YAML requires spaces"),
        ("a: 1\nb: [1\n", "a.yaml:3: is not YAML"),
        ("a: 1\nb: x: y\n", "a.yaml:2: is not YAML: mapping values are not allowed here"),
        ('{"a": 1,\n "b": }x', "a.yaml:2: is not YAML"),
        ("a: 1\nb: \x00\n", "a.yaml:2: has a control character (0x00)"),
        ("a: !thing 1\n", "a.yaml:1: is not YAML: could not determine a constructor"),
        ("a: *nothing\n", "a.yaml:1: is not YAML: found undefined alias"),
        ("a: &a [*a]\n", "a.yaml:1: is nested deeper than 60 levels"),
        ("a: &a {x: 1}\nb: {<<: *a}\n", "a.yaml:2: merge keys (<<) are not supported"),
        ("? [1]\n: 2\n", "a.yaml:1: lists and mappings as keys are not supported"),
        ("a: " + "9" * 5000 + "\n", "a.yaml:1: a value cannot be read"),
        pytest.param("[" * (1 << 20), "a.yaml:1: is nested deeper than 60 levels", id="brackets"),
        pytest.param("\n" + '{"a":' * 5000, "a.yaml:2: is nested deeper than 60 levels", id="braces"),
        pytest.param("- " * 5000, "a.yaml:1: is nested deeper than 60 levels", id="dashes"),
        pytest.param("x" * (1 << 20) + "x", "a.yaml: is larger than 1 MiB", id="too large"),
    ],
)
def test_an_unreadable_file_is_an_error_with_its_line(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert refusal(tmp_path, content).startswith(reason)


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "Remove aliases of aliases" in refusal(tmp_path, "\n".join(lines))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    one = only(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert (one.data, one.line(("b",))) == ({"a": 1, "b": 2}, 2)


def test_a_missing_file_and_a_directory_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        read(str(tmp_path / "none.yaml"))
    with pytest.raises(UnreadableError, match="Is a directory"):
        read(str(tmp_path))


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\n")))
    (one,) = read("-")
    assert (one.file, one.data) == ("standard input", {"a": 1})


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(UnreadableError, match="larger than"):
        read("/dev/zero")


PLAIN = st.recursive(
    st.integers() | st.booleans() | st.text('aé€😀"\\ :#-\n', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1), PLAIN, max_size=5))
def test_any_json_is_read_unchanged(document: dict[str, object]) -> None:
    reader, writer = os.pipe()
    os.write(writer, json.dumps(document, indent=1).encode()[:60_000])
    os.close(writer)
    try:
        (one,) = read(f"/dev/fd/{reader}")
    finally:
        os.close(reader)
    assert one.data == document


def outcome(content: bytes) -> str:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    try:
        return f"{len(read(f'/dev/fd/{reader}'))} documents"
    except UnreadableError as error:
        return str(error)
    finally:
        os.close(reader)


@given(st.binary(max_size=200) | st.text('{}[]":,-&*<!|>a1 \n\t', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert outcome(content)


@pytest.mark.parametrize("text", ["1:30", "-1:30:00", "1:30.5", "1" + ":1" * 40_000], ids=range(4))
def test_numbers_of_base_60_stay_strings(tmp_path: Path, text: str) -> None:
    assert only(tmp_path, f"a: {text}\n").data == {"a": text}
