"""Ways to a float32 graph, one a file."""
