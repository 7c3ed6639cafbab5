"""Called at the start of every Python program in this environment: begins tracking it where that was asked for.

What comes in: ``STEPSIZE_AUTOSTART``. What goes out: nothing, or a call of stepsize. Never raises or prints, and where
nothing was asked for it imports nothing and costs well under a millisecond.
"""

import os


def start():
    """The entry point of the start-up files beside this one."""
    if os.environ.get("STEPSIZE_AUTOSTART", "").strip().lower() not in ("1", "true", "yes", "on"):
        return
    try:
        from stepsize.instrumentation import autostart  # noqa: PLC0415 - only where it was asked for
    except Exception:  # noqa: BLE001 - stepsize is not here, or cannot be used: the program goes on
        return
    autostart.start()
