"""What is measured of workloads whose true use is known, by stepsize and by resource-tracker."""
