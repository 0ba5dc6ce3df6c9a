"""Simulated nodes for `roost demo` and for tests with many nodes; everything says "simulated"."""
