"""Which activation stands behind a convolution, in one node or in several."""
