"""Where records go: one file per kind of sink, and the fan-out that feeds them all."""
