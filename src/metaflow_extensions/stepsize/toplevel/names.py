"""Names that the extension adds to ``metaflow``: whatever this module holds becomes one, so it holds no other."""

try:  # noqa: SIM105 - `suppress` would become one, too
    from metaflow_extensions.stepsize.plugins.mutator import autosize  # noqa: F401 - that is the name
except ImportError:  # of a Metaflow unknown to us, whose own `autosize` for steps alone then stays
    pass
