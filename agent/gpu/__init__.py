"""Reading GPUs: NVML, Tegra, a simulated reader, and the sampler over them."""
