"""Binance spot: market streams, REST and user data over the WebSocket API.

Sources: binance/binance-spot-api-docs of 2026-07-21, and the recordings in tests/recordings/binance.
"""
