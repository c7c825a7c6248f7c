"""The native engine: a prompt is computed once for all its completions."""
