"""Imports the operator the way `market-operator run` does. The server that operator_process.py forks from loads it."""

from market_operator.cluster.slim_import import leave_out_synchronous_client

leave_out_synchronous_client()

import market_operator.app  # noqa: E402 - after the line above, which decides what this loads
import market_operator.telemetry.logs  # noqa: E402, F401
