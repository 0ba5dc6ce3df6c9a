"""What the agent keeps in its database."""
