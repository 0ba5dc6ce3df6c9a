"""Image archives: what lies in them, their layers as streams, and archives for a runtime."""
