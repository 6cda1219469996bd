"""The observed state, in memory."""
