"""Binance, spot and USD-M perpetuals: market streams, REST, and user data of spot over the WebSocket API.

Sources: binance/binance-spot-api-docs of 2026-07-21, and the recordings in tests/recordings/binance.
"""
