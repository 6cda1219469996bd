import json
import logging
import sys

from market_operator.resource.naming import Key
from market_operator.telemetry.logs import JsonFormatter, TextFormatter, about, configure


def test_a_line_is_one_json_object() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "", 0, "probe %s", ("failed",), None)
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["logger"], line["message"]) == ("warning", "a.b", "probe failed")
    assert "error" not in line


def test_a_line_names_the_resource_that_it_is_about() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "", 0, "probe failed", (), None)
    text = TextFormatter("%(name)s:%(about)s %(message)s")
    with about(Key("md", "okx-btc")):
        line = json.loads(JsonFormatter().format(record))
        assert text.format(record) == "a.b: md/okx-btc: probe failed"
    assert (line["namespace"], line["name"]) == ("md", "okx-btc")
    assert text.format(record) == "a.b: probe failed"
    assert "namespace" not in json.loads(JsonFormatter().format(record))


def test_failure_has_its_traceback_in_the_same_line() -> None:
    try:
        int("broken")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "ValueError: invalid literal" in json.loads(text)["error"]


def test_the_level_is_set_for_all() -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure("warning", "json")
        assert logging.getLogger("anything").getEffectiveLevel() == logging.WARNING
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)


def test_control_characters_of_others_are_escaped() -> None:
    """A lone surrogate would lose the line, a newline would forge one."""
    record = logging.LogRecord("a", logging.INFO, "", 0, "pod said %s", ("\x1b[2J\n\u202e\ud800",), None)
    assert TextFormatter("%(message)s").format(record) == r"pod said \x1b[2J\n\u202e\ud800"
    assert json.loads(JsonFormatter().format(record))["message"] == "pod said \\x1b[2J\n\\u202e\\ud800"
