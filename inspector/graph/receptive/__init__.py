"""Which pixels of the image a unit can read."""
