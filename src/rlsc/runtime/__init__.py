"""Processes, sharded weights, the console, memory."""
