"""How hard Hypothesis tries: ``--hypothesis-profile`` chooses; CI has more examples than a desk."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadlines: a busy machine is not a bug.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, max_examples=200, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
