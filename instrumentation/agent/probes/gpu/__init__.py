"""GPUs: one file per vendor returns what its devices say; a thread asks them; the rest says what of it is a task's."""
