"""What the collector talks about: streams and instruments, and the records that it produces."""
