"""The write-ahead log: what was acknowledged, on disk, in the order it came."""
