"""The API server: client, access, leases and the kinds that the operator manages."""
