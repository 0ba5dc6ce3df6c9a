"""The command `roost-agent`, one file per verb."""
