"""Keeps the API key in this process: no core dump has it, and no other process of the same user reads the memory."""

import ctypes
import logging
import resource
import sys

log = logging.getLogger(__name__)

PR_SET_DUMPABLE = 4
"""Of Linux' ``prctl``, see ``man 2 PR_SET_DUMPABLE``."""


def forbid() -> None:
    """Forbid core dumps and, on Linux, access to the memory from outside, as by a debugger. Root keeps it.

    The limit is not enough: the kernel ignores it when it passes core dumps to a program.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("the kernel refuses to close the process, so others of its user may read the API key")
