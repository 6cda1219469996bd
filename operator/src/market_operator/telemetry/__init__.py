"""Logs, metrics and the HTTP server."""
