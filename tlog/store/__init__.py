"""The only code that knows LMDB's log environment."""
