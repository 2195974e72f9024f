"""Guards that hold for every test."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees no MADLOOP_* variable that it did not set itself."""
    for name in [name for name in os.environ if name.startswith("MADLOOP_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _global_random_state_untouched() -> Iterator[None]:
    """Fail a test that drew from, or seeded, a global random generator."""
    before = _random_states()
    yield
    after = _random_states()
    # torch may have been imported by the test itself: then there is nothing to compare with
    touched = [name for name, state in before.items() if after[name] != state]
    if touched:
        pytest.fail(f"global random state touched: {', '.join(touched)}; pass a generator instead")


def _random_states() -> dict[str, object]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the legacy global state is what is guarded
    states: dict[str, object] = {
        "random": random.getstate(),
        "numpy.random": (name, np.asarray(keys).tobytes(), *rest),
    }
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states
