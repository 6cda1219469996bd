"""Checks that recorded files are complete: ``market-collector verify``.

`files` reads the records. `replica` checks those of one replica in order, with `stream`, `ids` and `books`. `merge`
merges replicas into a `report`, which `table`, `timeline` and `document` print. Only `files` and `command` do I/O.
"""
