"""What a model says of given tokens: log-probs, entropies, self-certainty."""
