"""Sockets: the exchange's port in any dialect, and the control address."""
