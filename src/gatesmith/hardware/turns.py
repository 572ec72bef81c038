"""Sequences that take turns in one engine: which go together, and in which order their steps come."""

import numpy as np
import numpy.typing as npt

from gatesmith.fixed.qformat import Codes
from gatesmith.hardware.jobs import Job


def groups(lengths: Codes, contexts: int) -> list[list[int]]:
    """The sequences [N] that have a step, as many together as there are contexts, the longest first.

    Those of a group begin together, and are of about one length, so that none of them is alone for long. A context
    alone keeps the order.
    """
    present = np.flatnonzero(lengths)
    order = present if contexts == 1 else present[np.argsort(-lengths[present], kind="stable")]
    return [order[first : first + contexts].tolist() for first in range(0, len(order), contexts)]


def job_in_turn(
    x: Codes, lengths: Codes, group: list[int], h0: Codes, c0: Codes, contexts: int, *, first: int = 0
) -> Job:
    """The sequences of a group, step by step in turn, each in the context of its place.

    Args:
        x: [T, N, D]; h0 [cells, N, R], c0 [cells, N, H]; the job's are [contexts, cells, …].
        first: context of the first of them.
    """
    counts = lengths[group]
    there: npt.NDArray[np.bool_] = np.arange(int(counts.max()))[:, None] < counts  # [T, places]
    at, place = np.nonzero(there)

    def states(given: Codes) -> Codes:
        found = np.zeros((contexts, given.shape[0], given.shape[2]), np.int64)
        found[first : first + len(group)] = np.moveaxis(given[:, group], 1, 0)
        return found

    return Job(
        x=x[at, np.array(group)[place]],
        lengths=tuple(counts.tolist()),
        h0=states(h0),
        c0=states(c0),
        order=tuple(place.tolist()),
        contexts=tuple(range(first, first + len(group))),
    )
