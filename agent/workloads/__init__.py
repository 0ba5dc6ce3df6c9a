"""Workloads of one node: what they are made from, where they run, how they are replaced."""
