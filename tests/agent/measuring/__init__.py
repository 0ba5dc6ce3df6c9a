"""Measuring of both arms."""
