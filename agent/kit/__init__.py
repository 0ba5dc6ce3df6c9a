"""What a kit carries beside wheels: the installer, which runs on the node, and its files."""
