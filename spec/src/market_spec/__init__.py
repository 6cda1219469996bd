"""The spec of a MarketCollector: fields, defaults, limits, rules, messages and descriptions, written once.

The operator generates the CRD from these classes and reads resources with them. The collector reads its document with
them, `market-collector validate` checks files with them, and the Python API takes its limits from them.
"""
