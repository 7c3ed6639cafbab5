"""The lake: its layout, schemas, generations and views."""
