"""The terminal interface: screens, widgets, themes."""
