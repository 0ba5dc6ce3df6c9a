"""A libcuda.so.1 for tests: the part of CUDA's driver ABI that worker.py calls, in C, no GPU."""
