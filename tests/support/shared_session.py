"""A set-up that the workers of one pytest run share: the first one makes it, and the last one removes it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Shared:
    """A set-up by name. Its users take turns to join and to leave, and each learns whether it is the first or the last."""

    def __init__(self, folder: Path, name: str, user: str) -> None:
        self._lock = folder / f"{name}.lock"
        self._users = folder / f"{name}.users"
        self._user = self._users / user

    @contextmanager
    def join(self) -> Iterator[bool]:
        """Whether this is the first user. The others wait until the block ends; one that fails has not joined."""
        with self._turn():
            yield not any(self._users.iterdir())
            self._user.touch()

    @contextmanager
    def leave(self) -> Iterator[bool]:
        """Whether this is the last user. Who joins meanwhile waits until the block ends, and is the first again."""
        with self._turn():
            self._user.unlink()
            yield not any(self._users.iterdir())

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._users.mkdir(exist_ok=True)
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
