"""Every setting of a run, and the checks of its values. No torch."""
