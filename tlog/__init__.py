"""A transparency log for the decisions of AI systems. Importing this package imports nothing else."""

__version__ = "0.1.0"
