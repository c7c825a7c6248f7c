"""From a text to its answer."""
