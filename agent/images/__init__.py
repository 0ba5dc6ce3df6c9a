"""Images on their way to the runtime: uploads, the blob store, space, load."""
