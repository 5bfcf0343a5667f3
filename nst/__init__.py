"""nst: neural style transfer as composed, tracked, reproducible experiments."""

__version__ = "0.1.0"
