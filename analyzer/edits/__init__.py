"""Advice written where it takes effect: into the source of a flow, or into what another system reads.

What comes in: the report's records, and the text of a file. What goes out: the edited text with each edit and each
refusal, or a snippet. Pure: reading and writing files is ``stepsize.commands.apply``'s.

``wanted`` (a report → what to write) → ``source`` (text → frozen records of steps and decorators, by ``names``) →
``merging`` (what a step's decorators ask for together) → ``plan`` (one step after another) → ``splices`` (the bytes
that change). ``snippets`` holds the formats of other systems, one file each.
"""
