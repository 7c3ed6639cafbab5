"""From the write-ahead log into the lake."""
