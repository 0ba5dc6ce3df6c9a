"""Benchmarks: `make bench`. Figures with their peers from the same run; never timed tests."""
