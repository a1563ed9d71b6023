"""The write path: the only writer of the log environment."""
