"""Self-Play Critic: one policy corrupts steps and judges them (arXiv 2504.19162)."""
