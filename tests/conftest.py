"""Hypothesis profiles for all tests."""

import os

from hypothesis import settings

# No deadline, because a busy machine is not a failure. CI uses the same examples each time, so that a failure comes
# from the change. Local runs use new examples.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
