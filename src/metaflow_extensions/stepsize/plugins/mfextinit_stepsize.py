"""What the extension adds to Metaflow's plug-ins: the step decorators ``@stepsize`` and ``@autosize``, and an alias.

``@track_resources`` is resource-tracker's own where that is installed: of two extensions that offer one name Metaflow
silently takes whichever it loaded last.
"""

from contextlib import suppress as _suppress
from importlib.util import find_spec as _find_spec

_OWNER = "metaflow_extensions.resource_tracker.plugins.mfextinit_resource_tracker"

STEP_DECORATORS_DESC = [
    ("stepsize", ".decorator.StepsizeDecorator"),
    ("autosize", ".autosize.AutosizeDecorator"),
]

_owner = None
with _suppress(ImportError, ValueError):  # nothing of that package is there
    _owner = _find_spec(_OWNER)
if _owner is None:
    STEP_DECORATORS_DESC.append(("track_resources", ".alias.TrackResourcesDecorator"))
