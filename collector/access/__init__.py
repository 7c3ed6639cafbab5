"""Who may talk to the collector: TLS, certificates of clients, tokens and passwords."""
