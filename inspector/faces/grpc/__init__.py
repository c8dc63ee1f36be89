"""The gRPC face: server, servicer and client. The files `inspector/faces/wire*.py` convert for it."""
