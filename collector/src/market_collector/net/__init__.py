"""The shell around the core: sockets, clocks and tasks. It decides nothing about data."""
