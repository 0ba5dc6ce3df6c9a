"""The wire under /v1: thin handlers, one file per resource."""
