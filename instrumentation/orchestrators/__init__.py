"""Which orchestrator runs this process, and what it calls what it runs: one table row per orchestrator (`table`).

What comes in: an environment, and the command lines of the processes above this one where a row needs them. What goes
out: a `Found` with flow, run, step, task and attempt as the orchestrator names them, and what it was asked to give.
Never talks to a service, never raises: what is not known is left out. Standard library only.
"""
