"""Status, metrics and logs of a collector, and the HTTP server for them."""
