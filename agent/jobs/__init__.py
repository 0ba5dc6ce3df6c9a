"""Durable jobs: work on the node that outlives one request, and the agent."""
