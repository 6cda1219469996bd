"""The names of the API: group, version and kind."""

GROUP = "marketcollector.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "MarketCollector"
PLURAL = "marketcollectors"
