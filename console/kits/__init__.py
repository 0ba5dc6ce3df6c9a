"""Kits: one file per architecture that puts the agent on a machine without a network."""
