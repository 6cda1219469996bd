"""What a collector tells about itself: status, metrics, logs, and the small HTTP server that serves them."""
