"""The only code that talks to Docker or Podman."""
