"""What a rewrite adds to a graph, and takes away."""
