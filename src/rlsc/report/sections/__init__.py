"""From a run's records to the blocks of its page."""
