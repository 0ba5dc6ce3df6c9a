"""What is installed on the node and in its images."""
