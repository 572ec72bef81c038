"""The head of a classifier in integers: a linear map of the last step's output, and the class with the largest sum."""

import numpy as np

from gatesmith.fixed.linear import LinearPlan, LinearWeights, bounded, rounded, sums_of
from gatesmith.fixed.qformat import Codes, QFormat


def class_format(plan: LinearPlan) -> QFormat:
    """Of the number of a class, which is never negative."""
    return QFormat(width=max(1, (plan.output_size - 1).bit_length()) + 1, fraction=0)


def scores_of(plan: LinearPlan, weights: LinearWeights, x: Codes) -> Codes:
    """[N, K] scores in ``y_format`` of x [N, F], each rounded once and saturated."""
    return bounded(plan, rounded(plan, sums_of(weights, x)))


def classes_of(weights: LinearWeights, x: Codes) -> Codes:
    """[N] the class with the largest exact sum, the first of equal ones."""
    return sums_of(weights, x).argmax(axis=1).astype(np.int64)


def last_steps(y: Codes, lengths: Codes) -> Codes:
    """[N, F] the last valid step of y [T, N, F]; of a sequence without steps the first."""
    return y[np.maximum(lengths, 1) - 1, np.arange(y.shape[1])]
