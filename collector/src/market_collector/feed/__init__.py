"""Pure state machine of one connection, and the state of each stream across connections."""
