"""Metaflow's configuration, extended: ``STEPSIZE=1`` adds ``@stepsize`` to every step of every flow.

Loaded whenever ``metaflow.metaflow_config`` is imported, in the launcher and in each task. Metaflow ignores an
extension's ``TOGGLE_DECOSPECS`` where the site sets ``DEFAULT_DECOSPECS``; there ours is appended to the site's.
Standard library and Metaflow only, and never raises: a typing mistake in STEPSIZE must not stop a flow. A word that is
neither yes nor no counts as yes here, so that the decorator is there to say what is wrong with it.
"""

import os

from metaflow.metaflow_config_funcs import from_conf as _from_conf

from metaflow_extensions.stepsize.plugins.shipped import make_importable as _make_importable

# Before a flow's own file is read, which may well say ``import stepsize``.
_make_importable()

_OFF = ("", "0", "false", "no", "off")
"""The words of `stepsize.setting_values.parse_bool`, which an isolated interpreter has not got."""


def _wanted() -> bool:
    if os.environ.get("STEPSIZE", "").strip().lower() in _OFF:
        return False
    # Where the site lists the plug-ins that there are and ours is not one, a flow with it would not start.
    enabled = _from_conf("ENABLED_STEP_DECORATOR")
    return enabled is None or any(name in ("stepsize", "+stepsize") for name in enabled)


if _wanted():
    _site = _from_conf("DEFAULT_DECOSPECS", "") or ""
    if not _site:
        TOGGLE_DECOSPECS = ["stepsize"]
    elif not any(_spec.split(":")[0] == "stepsize" for _spec in _site.split()):
        DEFAULT_DECOSPECS = _site + " stepsize"
