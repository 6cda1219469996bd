"""The reconcile loop and its writes."""
