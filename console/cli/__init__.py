"""The command `roost`, one file per noun."""
