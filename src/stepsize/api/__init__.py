"""What programs import: ``stepsize.track``, ``annotate``, ``open_lake``, ``load``; see ``docs/api.md``.

What comes in: the user's calls. What goes out: handles that answer from a recording (see
`stepsize.instrumentation.recording`) while the tracked code runs and afterwards. Tracking itself never raises into the
user's code; an answer that cannot be given raises a `StepsizeError` where it is asked for. Importing any of it costs
next to nothing: what answers need (pyarrow, the analyzer) is imported with the first answer.
"""
