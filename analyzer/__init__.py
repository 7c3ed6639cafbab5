"""Lake in, advice out."""
