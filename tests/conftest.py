"""One way to look for counterexamples: the same ones in every run, unless asked to explore."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, derandomize=True, max_examples=50)
settings.register_profile(
    "explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)  # HYPOTHESIS_PROFILE=explore pytest …
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
