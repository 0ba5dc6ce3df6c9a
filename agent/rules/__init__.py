"""Decisions with no I/O: the standard library and msgspec only."""
