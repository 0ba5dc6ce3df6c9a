"""Layers on their way between the nodes of one site."""
