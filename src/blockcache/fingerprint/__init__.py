"""Fingerprints: digests of the meaning of values and of code. They raise rather than guess."""
