"""`python -m rlsc`, as `accelerate launch -m rlsc` starts it."""

import os
import sys

if __name__ == "__main__":
    # Python puts the folder that it is called in first: a `random.py` there must not be imported
    # for Python's own. At the end it still holds a user's `mine:Objective`.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        sys.path.append(sys.path.pop(0))
    from rlsc.commands.main import main

    main()
