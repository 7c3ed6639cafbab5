"""History that other programs kept, as rows of `tasks`: one module reads each kind, one writes them into the lake."""
