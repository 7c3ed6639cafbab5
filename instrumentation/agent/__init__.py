"""The agent: one process per host, user and destination, which samples attempts and sends points."""
