"""Compose files read as the Compose specification says, into workloads for single nodes."""
