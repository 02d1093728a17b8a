"""Benchmarks, baselines, metrics and reports: what the router does on which items, at what cost, against what."""
