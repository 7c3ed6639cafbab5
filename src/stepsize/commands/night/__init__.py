"""What ``stepsize nightly`` does: ``night`` goes through the stages, ``state`` is how far it has come, ``jobs`` are the
stages' work (``making`` that of the report), ``child`` does a job in a process of its own within a limit, ``targets``
are who is told.
"""
