"""`python -m rlsc`, as `accelerate launch -m rlsc` starts it."""

from rlsc.commands.main import main

if __name__ == "__main__":
    main()
