"""How a node is, taken down; and a node brought back to how it was."""
