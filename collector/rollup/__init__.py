"""Points to one row per attempt of a task, folded as they arrive: pure, no I/O."""
