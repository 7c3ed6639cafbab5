"""Names that the extension adds to ``metaflow``: whatever this module holds becomes one, so it holds no other."""

from metaflow_extensions.stepsize.plugins.mutator import autosize  # noqa: F401 - that is the name
