"""The custom resource: spec, status, CRD and names."""
