"""Predictors of a step's next peak, one idea a file; they compete by what each would have cost so far.

Each is made once a step, is given the step's history, and proposes a request for a task or None where it has nothing to
say. It may keep what it fitted until :attr:`Fit.version` changes.
"""
