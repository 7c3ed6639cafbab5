"""Where this machine runs: which cloud, region and kind of server, and whether it may be taken away.

What comes in: what the firmware says of the machine, and the cloud's metadata service. What goes out: a `Place`.
Standard library only, asked once, in threads of its own and for a second at most; never raises.
"""
