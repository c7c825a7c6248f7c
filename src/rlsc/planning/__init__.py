"""A run's memory from its settings."""
