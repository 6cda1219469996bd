"""The message of something unreadable."""

import pytest

from market_collector.reading.trouble import Trouble


@pytest.mark.parametrize(("line", "message"), [(7, "a.jsonl:7: not JSON"), (None, "a.jsonl: not JSON")])
def test_message_names_file_and_line(line: int | None, message: str) -> None:
    assert str(Trouble("a.jsonl", line, "not JSON")) == message
