"""Newer servers and prices from the network, for `stepsize catalog update`.

What comes in: addresses, and a directory for what is half done. What goes out: layers of rows that the update lays over
the catalogue in use (``layers``). One module a source. Nothing here writes a catalogue: that is
``stepsize.analyzer.catalog.update``'s, once all that came has been checked.
"""
