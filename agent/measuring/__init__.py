"""What a node measures of a workload's two arms while a deployment waits to be confirmed."""
