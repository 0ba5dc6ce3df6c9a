"""Facts and figures of the machine itself."""
