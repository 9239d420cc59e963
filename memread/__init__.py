"""memread: read texts longer than a model's window with a local model and a small memory."""

__version__ = "0.1.0"
