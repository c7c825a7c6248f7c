"""What `make gpu-check` checks: a file a subject, and the parts that run and show them.

`checks` lists them in their order; each is a function of a `Setting` and of the figures that
earlier ones found, and gives rows of the one table.
"""
