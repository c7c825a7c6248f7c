"""Intervals, votes, paired tests, calibration: numbers in, numbers out."""
