"""Sockets, clocks and tasks around the pure core. Decides nothing about data."""
