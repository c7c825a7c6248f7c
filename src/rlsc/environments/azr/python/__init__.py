"""The language `python`: programs that the policy writes, run in the sandbox."""
