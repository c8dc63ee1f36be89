"""The gRPC face: server, servicer, client, and the one converter between messages and our own types."""
