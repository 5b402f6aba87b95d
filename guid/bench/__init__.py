"""Frame throughput and latency, measured so that the numbers can be trusted: see `guid bench --help`."""
