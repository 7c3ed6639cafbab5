"""The catalogue: servers, hourly prices and regions of cloud vendors as three Parquet files beside this module.

What comes in, at build time only: three installed packages (see ``sources``). What goes out: ``servers.parquet``,
``server_prices.parquet`` and ``regions.parquet``, with the column names of Spare Cores' data model, a source, a date
and a licence on every row and a quality on every price. Nothing is read from a network, and reading the catalogue
needs none of the build's packages. ``docs/catalogue.md`` says where each figure comes from and what is missing.
"""
