"""Time as an argument: the shell reads both clocks once, the core never does."""

import msgspec


class Moment(msgspec.Struct, frozen=True, gc=False):
    """One instant on two clocks."""

    at: float
    """Monotonic seconds: for deadlines and ages; never steps."""
    wall_ns: int
    """Nanoseconds since 1970: for records and people; may step."""
