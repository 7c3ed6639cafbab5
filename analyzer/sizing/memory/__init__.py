"""Sizing memory: a request that minimises expected cost over a predictive distribution of the next task's peak."""
