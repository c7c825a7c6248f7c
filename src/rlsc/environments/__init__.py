"""What a step's rollouts are played in: a data set of questions, or a game."""
