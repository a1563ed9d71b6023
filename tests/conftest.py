"""How hard Hypothesis tries: `dev` while writing, `ci` where CI is set, `long` for a night; HYPOTHESIS_PROFILE chooses.

No deadline anywhere: two shared cores make any test slow now and then, and that is not what the tests are about.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same commit gives the same answer; a failure is printed so that it can be replayed elsewhere.
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("long", settings.get_profile("dev"), max_examples=10_000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)
