"""For all tests: how Hypothesis draws its examples, and what is not collected."""

import os

from hypothesis import settings

# A machine that is busy is no failure; and CI draws the same examples each time, so that a red run says something
# about the change. New examples are drawn in every local run.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
