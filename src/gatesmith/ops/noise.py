"""Random masks of dropout and zoneout: the same numbers on every device, from a counter-based generator."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kind = Literal["dropout", "recurrent_dropout", "zoneout_h", "zoneout_c"]

KINDS: tuple[Kind, ...] = ("dropout", "recurrent_dropout", "zoneout_h", "zoneout_c")
DIRECTION_NUMBER = {"forward": 0, "reverse": 1}


def uniform(seed: int, layer: int, direction: str, kind: Kind, shape: tuple[int, ...]) -> Array:
    """Numbers in [0, 1), a function of the arguments alone; row-major, so element n needs no other element.

    Philox 4x64 with ten rounds (Salmon et al., 2011), key ``(seed, layer * 8 + kind * 2 + direction)``: element n is
    ``(word >> 11) * 2^-53`` of word ``n mod 4`` in block ``n div 4 + 1``.
    """
    key = np.array([seed % 2**64, layer * 8 + KINDS.index(kind) * 2 + DIRECTION_NUMBER[direction]], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).random(shape)


def dropout_scale(seed: int, layer: int, direction: str, kind: Kind, shape: tuple[int, ...], rate: float) -> Array:
    """Factors of an inverted dropout: 0 with probability ``rate``, else 1 / (1 - rate)."""
    return (uniform(seed, layer, direction, kind, shape) >= rate) / (1.0 - rate)


def zoneout_keep(seed: int, layer: int, direction: str, kind: Kind, shape: tuple[int, ...], rate: float) -> Array:
    """1.0 where a unit keeps its previous value, with probability ``rate``, else 0.0."""
    return (uniform(seed, layer, direction, kind, shape) < rate).astype(np.float64)
