"""The Metaflow card of an attempt: a page that a process beside the task keeps up to date.

What comes in: an `order.Order` from the task. What goes out: one self-contained HTML file in the flow's datastore,
where Metaflow looks for cards. `order` and `start` are imported by the task (standard library only); the rest runs in
the writer, a process of its own that the task neither waits for nor is the parent of (docs/decisions/0017).
"""
