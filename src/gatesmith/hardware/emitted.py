"""What comes out of an exported design: which steps, in which format, by the integer model."""

from gatesmith.fixed.head import class_format, classes_of, scores_of
from gatesmith.fixed.linear import LinearWeights
from gatesmith.fixed.plan import Plan
from gatesmith.fixed.qformat import Codes, QFormat
from gatesmith.hardware.options import HEAD_OUTPUTS


def output_format(plan: Plan, output: str) -> QFormat:
    """Of one element of the stream out; ``output`` as in :class:`~gatesmith.hardware.options.Options`."""
    if output in HEAD_OUTPUTS and plan.head:
        return class_format(plan.head) if output == "class" else plan.head.y_format
    return plan.y_format


def output_size(plan: Plan, output: str, features: int) -> int:
    """Elements of one step out, where the last layer has ``features``."""
    if output in HEAD_OUTPUTS and plan.head:
        return 1 if output == "class" else plan.head.output_size
    return features


def emitted(plan: Plan, output: str, head: LinearWeights | None, y: Codes, lengths: Codes) -> list[Codes]:
    """[steps out, elements] of each sequence that has a step, from the last layer's y [T, N, F]."""
    ends = [y[:length, n] if output == "sequence" else y[length - 1 : length, n] for n, length in enumerate(lengths)]
    present = [steps for steps, length in zip(ends, lengths, strict=True) if length]
    if plan.head is None or head is None or output not in HEAD_OUTPUTS:
        return present
    if output == "class":
        return [classes_of(head, steps).reshape(-1, 1) for steps in present]
    return [scores_of(plan.head, head, steps) for steps in present]
