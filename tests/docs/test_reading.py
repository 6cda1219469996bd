"""The recipes of docs/reading.md, run on a recording."""

import re
from pathlib import Path

import pytest

from record_lines import lines
from records import trade

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_recipes_run_on_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.jsonl").write_bytes(lines(map(trade, range(1, 9))))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for program in PROGRAMS:
        exec(program, names)
    assert len(names["trades"]) == 8  # type: ignore[arg-type]
