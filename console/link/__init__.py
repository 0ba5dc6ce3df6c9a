"""Reaching a node: https, unix socket, ssh; a typed client over httpx."""
