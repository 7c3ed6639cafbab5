"""The live page: running and recent attempts and the nightly reports, in a browser (`docs/live.md`)."""
