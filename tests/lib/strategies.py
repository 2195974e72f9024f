"""Hypothesis strategies for label maps."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

VOID = 255
Maps = NDArray[np.uint8]


def stacks(count: int, n_classes: int, *, max_side: int = 12) -> st.SearchStrategy[Maps]:
    """`count` label maps of one size, with void: (count, H, W) uint8."""
    sides = st.integers(1, max_side)
    return st.tuples(sides, sides).flatmap(
        lambda size: hnp.arrays(np.uint8, (count, *size), elements=st.sampled_from([*range(n_classes), VOID]))
    )


@st.composite
def blocky_stacks(draw: st.DrawFn, count: int, n_classes: int) -> Maps:
    """Label maps made of wide blocks, as real ones are, so that whole words of eight pixels are equal."""
    maps = draw(stacks(count, n_classes, max_side=5))
    wide = np.repeat(maps, draw(st.integers(1, 24)), axis=2)
    return wide[:, :, draw(st.integers(0, min(7, wide.shape[2] - 1))) :]
