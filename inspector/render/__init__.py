"""Blocks to pixels, and reports to HTML. Knows the contract, no model."""
