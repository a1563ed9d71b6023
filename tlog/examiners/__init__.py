"""Verification in processes of its own: on every core for a command, out of the way of ingest for a server."""
