"""What a flow's steps are to ask for at a launch, from their history: what stands behind Metaflow's ``@autosize``.

What comes in: a `question.Question` from the launcher. What goes out: an answer for each step. The lake is read by a
process of its own (``python -m stepsize.autosize``), for which the launcher waits so long and no longer
(``docs/decisions/0044``); what is done with an answer is `metaflow_extensions`'s.
"""
