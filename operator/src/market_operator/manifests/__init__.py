"""The Kubernetes objects of one shard: one builder per kind, each a fresh object with only our fields."""
