"""TensorRT engines: what they are built from, builds, and the store of what was built."""
