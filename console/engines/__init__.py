"""TensorRT engines across the fleet."""
