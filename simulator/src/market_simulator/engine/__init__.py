"""The market and its truth, independent of every exchange's wire format. Nothing here knows a socket or a clock."""
