"""market-operator: turns MarketCollector resources into collector pods and tells the truth about them.

Data flow, one module each: events → queue → reconcile (observe → desired → plan → apply → status), and beside it the
sweep, which reads the collectors' health and lists everything again now and then.
"""

__version__ = "0.1.0"
