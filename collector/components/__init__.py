"""The components of a configuration: one file each, listed in :mod:`stepsize.collector.components.table`."""
