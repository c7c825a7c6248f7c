"""What a run leaves on disk: its folder, JSON lines, checkpoints, how it was made."""
