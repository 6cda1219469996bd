"""One connection's life as a pure state machine, and what is known of each stream beyond it."""
