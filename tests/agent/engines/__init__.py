"""Tests of building and keeping TensorRT engines."""
