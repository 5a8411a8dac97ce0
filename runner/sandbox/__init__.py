"""Stateful stand-ins for the four platforms on loopback; the tests and the demo share them.

`_world` is what they have in common: time, ids, seeds, limits, faults, recorded traffic. Each
platform is one file with its own objects and routes; `server` mounts the four and serves them.
"""
