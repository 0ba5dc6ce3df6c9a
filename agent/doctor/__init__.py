"""What is wrong with a node, why, and how to mend it: one small file per check."""
