"""How the world reaches the use cases: command line, gRPC. Arguments in, the same Report out."""
