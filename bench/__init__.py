"""Measurements, as ratios and counts: `make bench`. Nothing here runs in a timed test."""
