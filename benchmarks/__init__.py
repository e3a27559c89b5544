"""What the bridge costs, measured on this machine: `make bench`."""
