"""The processes beside the one that receives: kept alive by their collector, ended with it."""
