"""A folder for a worker's PYTHONPATH: `import tensorrt` finds a recorded surface there."""
