"""Whether recorded files are complete: ``market-collector verify``.

`files` reads, `replica` and what it is made of (`stream`, `numbers`, `books`) check one replica's records in order,
`union` merges replicas into a `report`, and `table`, `picture` and `document` print it. Only `files` and `command`
touch the world.
"""
