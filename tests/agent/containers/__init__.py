"""Tests of the container runtimes."""
