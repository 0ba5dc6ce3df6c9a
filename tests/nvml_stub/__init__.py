"""A libnvidia-ml.so.1 for tests: NVML's ABI in C, driven by a scenario file."""
