"""Analyses: found, planned, run, added up, stored."""
