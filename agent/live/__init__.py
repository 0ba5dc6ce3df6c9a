"""The live picture of this node: sampling, history, and the log of changes behind /v1/events."""
