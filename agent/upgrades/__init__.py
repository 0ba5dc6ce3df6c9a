"""Another version of this very agent, tried first, and kept only if it is confirmed."""
