"""Watching a log from outside, with nothing of its server's word: what `tlog verify URL` does."""
