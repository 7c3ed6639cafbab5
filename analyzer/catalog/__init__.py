"""The catalogue: servers, hourly prices and regions of cloud vendors, as Parquet files beside this module and below it.

What comes in: three installed packages where it is built (``sources``), the network where it is updated (``online``).
What goes out: ``servers.parquet``, ``server_prices.parquet`` and ``regions.parquet``, with the column names of Spare
Cores' data model, a source, a date and a licence on every row and a quality on every price. Reading the catalogue needs
neither. ``docs/catalogue.md`` says where each figure comes from and what is missing.
"""
