"""Who may talk to the collector: tokens and passwords."""
