"""The set-up that workers share is made once, and removed after its last user."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from shared_session import Shared


def test_only_the_first_user_makes_and_only_the_last_one_removes(tmp_path: Path) -> None:
    one, two = (Shared(tmp_path, "release", user) for user in ("gw0", "gw1"))
    with one.join() as first:
        assert first
    with two.join() as first:
        assert not first
    with one.leave() as last:
        assert not last
    with two.leave() as last:
        assert last
    with one.join() as first:
        assert first


def test_a_failed_set_up_is_made_again_by_the_next_user(tmp_path: Path) -> None:
    one, two = (Shared(tmp_path, "release", user) for user in ("gw0", "gw1"))
    with pytest.raises(OSError, match="no chart"), one.join():
        raise OSError("no chart")
    with two.join() as first:
        assert first


def test_second_user_waits_until_the_set_up_is_complete(tmp_path: Path) -> None:
    steps: list[str] = []

    def second() -> None:
        with Shared(tmp_path, "release", "gw1").join():
            steps.append("second")

    other = threading.Thread(target=second)
    with Shared(tmp_path, "release", "gw0").join():
        other.start()
        other.join(timeout=0.1)
        steps.append("first")
    other.join(timeout=10)
    assert steps == ["first", "second"]
