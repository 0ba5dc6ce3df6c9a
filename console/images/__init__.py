"""Images on their way from archives here to nodes there."""
