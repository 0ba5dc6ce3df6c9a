"""The inventory, selectors, and the live picture of all nodes."""
