"""The checks. Each is a pure function of the evidence."""
