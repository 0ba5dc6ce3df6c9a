"""What a node knows of itself in one file to mail home."""
