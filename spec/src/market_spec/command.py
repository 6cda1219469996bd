"""The end of the commands of both programs: exit codes, and readers that have gone."""

import errno
import os
import signal
import sys
from collections.abc import Callable

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def exit_code(command: Callable[[], int]) -> int:
    """Run `command`, write its output to the end and return its exit code.

    128 plus the signal's number if its reader has gone or Ctrl-C ends it; 1 with a message if the disk is full.

    Raises:
        OSError: another error of `command` or of standard output.
    """
    try:
        try:
            return command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # such as ``| head``
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in FULL:
            raise
        _discard_output()
        print(f"standard output: {error.strerror}. Make room, or write elsewhere", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _discard_output() -> None:
    """Let the interpreter's last flush succeed, which would otherwise print a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
