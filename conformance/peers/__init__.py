"""Programs that nobody here wrote, run against a real log and a real witness: `python -m conformance.peers`."""
