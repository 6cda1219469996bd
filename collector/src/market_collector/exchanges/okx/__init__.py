"""OKX, API version 5."""
