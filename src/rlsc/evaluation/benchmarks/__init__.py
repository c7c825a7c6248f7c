"""Benchmarks: where their questions are, and how a row is read."""
