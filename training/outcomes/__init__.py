"""Embedding allocators from recorded outcomes: trained and tested without a model call."""
