"""Models: loaded, adapted, and what attention they have."""
