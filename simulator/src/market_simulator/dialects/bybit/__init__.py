"""Bybit v5, spot and linear: public topics, REST, and the wallet of the account.

Sources: bybit-exchange/docs of 2026-07-24, refusals that clients have published, and the recordings in
tests/recordings/bybit.
"""
