"""The witness: an independent process that cosigns only what extends what it has seen before."""
