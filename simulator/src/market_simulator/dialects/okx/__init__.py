"""OKX v5 (docs/exchanges/okx.md)."""
