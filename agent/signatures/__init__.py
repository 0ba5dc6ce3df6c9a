"""Keys and signatures: ed25519. Reads and writes the files it is given, nothing else."""
