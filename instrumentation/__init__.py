"""Everything that runs beside user code. It must never break, delay or print into the user's program."""
