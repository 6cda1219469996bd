"""The status of a resource: conditions, events and the patch."""
