"""One optimizer step, and many."""
