"""What ``opentelemetry-instrument`` and OpenTelemetry's SDKs find of us by entry points.

What comes in: their calls. What goes out: this program as a tracked attempt (`StepsizeInstrumentor`), and the
attributes of that attempt for the resource of the program's own telemetry (`StepsizeResourceDetector`, asked for by
``OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=stepsize``). The instrumentor has the methods that
``opentelemetry.instrumentation`` calls and no base class of it, so that nothing more has to be installed for the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource, ResourceDetector

from stepsize.instrumentation import autostart, lineage, registered

if TYPE_CHECKING:
    from collections.abc import Collection


class StepsizeInstrumentor:
    """Tracks the program that ``opentelemetry-instrument`` starts, as ``STEPSIZE_AUTOSTART=1`` would.

    Not where the program is told to send no metrics (``OTEL_METRICS_EXPORTER=none``).
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """What has to be installed for it: nothing."""
        return ()

    def instrument(self, **_: Any) -> None:
        """Begin."""
        if os.environ.get("OTEL_METRICS_EXPORTER", "").strip().lower() != "none":
            autostart.start()

    def uninstrument(self, **_: Any) -> None:
        """An attempt ends with its process."""


class StepsizeResourceDetector(ResourceDetector):
    """Which attempt a program belongs to: its own, or that of whoever started it."""

    def detect(self) -> Resource:
        """The attempt's attributes, so that the program's own metrics can be joined with ours."""
        own = registered.oldest()
        identity = autostart.own_identity() if own is None else own.identity
        above = lineage.above(os.environ)
        if above is not None and own is None:
            identity = identity._replace(**above._asdict())
        attributes = identity.attributes()
        # The service is the program's to name, and its instances are not our attempts.
        return Resource({name: value for name, value in attributes.items() if not name.startswith("service.")})
