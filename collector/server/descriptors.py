"""How many connections this process may have open.

What comes in: nothing. What goes out: a limit that is as high as the system lets it be. Never fails.
"""

from __future__ import annotations


def raise_limit() -> int | None:
    """Allow this process all the files that it may allow itself; how many, or None where the system has no such limit.

    The usual 1,024 are fewer than the connections that a receiver takes: beyond them nobody, neither a client nor the
    log, gets a file.
    """
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS says it is unlimited and means something else
        return soft
    return hard
