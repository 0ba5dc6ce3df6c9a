"""Tests on a machine with real NVIDIA GPUs: `python -m pytest --gpus tests/gpus`."""
