"""Metaflow's configuration, extended: ``STEPSIZE=1`` adds ``@stepsize`` to every step of every flow.

Loaded whenever ``metaflow.metaflow_config`` is imported, in the launcher and in each task. Metaflow ignores an
extension's ``TOGGLE_DECOSPECS`` where the site sets ``DEFAULT_DECOSPECS``; there ours is appended to the site's.
Standard library and Metaflow only, and never raises: a typing mistake in STEPSIZE must not stop a flow.
"""

import os

from metaflow.metaflow_config_funcs import from_conf as _from_conf

# The words of `stepsize.settings.parse_bool`, which an isolated interpreter has not got.
if os.environ.get("STEPSIZE", "").strip().lower() in ("1", "true", "yes", "on"):
    _site = _from_conf("DEFAULT_DECOSPECS", "") or ""
    if not _site:
        TOGGLE_DECOSPECS = ["stepsize"]
    elif not any(_spec.split(":")[0] == "stepsize" for _spec in _site.split()):
        DEFAULT_DECOSPECS = _site + " stepsize"
