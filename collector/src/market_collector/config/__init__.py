"""The collector's configuration: reads a file, validates it, and makes settings."""
