"""Which module's names join ``metaflow``'s own: ``from metaflow import autosize`` means `names.autosize`."""

toplevel = "names"
