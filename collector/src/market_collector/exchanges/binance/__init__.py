"""Binance, spot market."""
