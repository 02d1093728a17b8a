"""Trains the embedded pool and router; run it as ``python -m training.embedded``."""
