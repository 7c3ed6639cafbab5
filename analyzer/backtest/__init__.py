"""Replaying recorded tasks against policies, so that a policy is judged by what it would have cost."""
