"""Patterns of a dialect's messages, for the faults that change or identify them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from market_simulator.engine.events import Key


@dataclass(frozen=True, slots=True)
class Words:
    """Patterns of a dialect's messages.

    `value`: up to the first digit of the first number of a row, with what precedes the digit as group 1.
    `checksum` and `time` (ms since 1970): a number as group 2, after group 1.
    `identity`: identifies a push within its stream, such as `{"firstTradeId": 7, "lastTradeId": 9}`.
    """

    value: re.Pattern[str]
    checksum: re.Pattern[str]
    time: re.Pattern[str]
    identity: Callable[[Key, str], dict[str, Any]]
