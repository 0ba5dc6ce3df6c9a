"""The reference detector's server; in its image it runs as `python3 -m detector_server`."""
