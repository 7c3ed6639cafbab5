"""The collector's receiving process: servers, the way into the write-ahead log, and the sink beside it."""
