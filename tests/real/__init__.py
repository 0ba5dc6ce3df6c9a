"""Real parts for the tests: Docker Engine, Podman, sshd, each private and short-lived."""
