"""Checked replicas for tests of `verify`."""

from market_collector.model.events import Record
from market_collector.verify.replica import ReplicaCheck


def check(name: str, *records: Record) -> ReplicaCheck:
    """A replica with one run that wrote these records."""
    replica = ReplicaCheck(name)
    replica.start_run()
    for record in records:
        replica.take(record)
    replica.finish()
    return replica
