"""One file per platform, each behind the contract of `reconcilers._contract`."""
