"""Binance, spot and USD-M perpetuals."""
