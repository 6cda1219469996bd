"""The collector's configuration: what a file says, checked, as settings."""
