"""Absolute Zero: one policy proposes tasks and solves them (arXiv 2505.03335)."""
