"""Every source of events."""
