"""What TensorRT's Python bindings are called and take, by version; and a module of that shape."""
