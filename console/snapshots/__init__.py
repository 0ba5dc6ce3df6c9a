"""Snapshots of nodes: taken into files, compared, and nodes brought back to them."""
