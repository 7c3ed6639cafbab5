"""The lake on disk: its layout, schema, generations and views. Written by the collector, read by everyone."""
