"""The generator of dropout and zoneout: Philox by its published algorithm, reproducible, and fair."""

import numpy as np
import pytest

from gatesmith.ops.noise import KINDS, dropout_scale, uniform, zoneout_keep

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
MASK = 2**64 - 1


def philox_block(counter: int, key: tuple[int, int]) -> list[int]:
    """Philox 4x64 with ten rounds, from the paper (Salmon et al., 2011)."""
    words = [counter & MASK, counter >> 64 & MASK, 0, 0]
    k0, k1 = key
    for _ in range(10):
        a, b = MULTIPLIERS[0] * words[0], MULTIPLIERS[1] * words[2]
        words = [(b >> 64) ^ words[1] ^ k0, b & MASK, (a >> 64) ^ words[3] ^ k1, a & MASK]
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return words


@pytest.mark.parametrize("seed", [0, 7, 2**63 + 5, -1])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_element_is_the_documented_word(seed: int, direction: str, kind: str) -> None:
    drawn = uniform(seed, 3, direction, kind, (2, 3, 2)).ravel()
    key = (seed % 2**64, 3 * 8 + KINDS.index(kind) * 2 + (direction == "reverse"))
    for n, value in enumerate(drawn):
        assert value == (philox_block(n // 4 + 1, key)[n % 4] >> 11) * 2.0**-53


def test_masks_are_reproducible_distinct_and_fair() -> None:
    shape = (50, 40, 20)
    keep = zoneout_keep(1, 0, "forward", "zoneout_h", shape, 0.3)
    assert np.array_equal(keep, zoneout_keep(1, 0, "forward", "zoneout_h", shape, 0.3))
    assert set(np.unique(keep)) == {0.0, 1.0}
    assert abs(keep.mean() - 0.3) < 0.01
    scale = dropout_scale(1, 0, "forward", "dropout", shape, 0.3)
    assert set(np.unique(scale)) == {0.0, 1 / 0.7}
    assert abs(scale.mean() - 1.0) < 0.01
    others = [(2, 0, "forward", "zoneout_h"), (1, 1, "forward", "zoneout_h"), (1, 0, "reverse", "zoneout_h")]
    for other in [*others, (1, 0, "forward", "zoneout_c")]:
        assert not np.array_equal(keep, zoneout_keep(*other, shape, 0.3))
