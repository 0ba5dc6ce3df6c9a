"""One release on many nodes, in waves that come back by themselves."""
