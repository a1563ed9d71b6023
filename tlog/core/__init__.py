"""The formats and the mathematics: values in, values out. No I/O, clock, randomness or logging."""
