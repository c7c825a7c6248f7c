"""Answers whose steps a critic judges as they are written, beside a majority at equal tokens."""
