"""The collapse guard: signals, rule, choice of the step."""
