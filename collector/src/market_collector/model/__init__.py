"""Streams, instruments and the records that the collector produces."""
