"""The five questions that the report opens on, each answered in a line from whatever was measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from gatesmith.report.figures import percent
from gatesmith.report.read import Findings
from gatesmith.report.units import human_bytes, human_rate, human_time


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question, its answer in a few words, and a sentence behind it."""

    question: str
    answer: str
    reason: str


def answers(findings: Findings) -> tuple[Answer, ...]:
    """What is it, how fast, how big, how right, and what limits it."""
    return (_what(findings), _fast(findings), _big(findings), _right(findings), _limit(findings))


def spec_of(findings: Findings) -> Mapping[str, Any]:
    """The specification that the results are about; empty where none says it."""
    for found in findings.results:
        text = found.result.data.get("spec")
        if isinstance(text, str):
            return cast("Mapping[str, Any]", json.loads(text))
    sizes = ("input_size", "hidden_size")
    return {name: findings.summary[name] for name in sizes if name in findings.summary}


def _what(findings: Findings) -> Answer:
    spec = spec_of(findings)
    if not spec:
        return Answer(question="What is it?", answer="unknown", reason="No result file names a specification.")
    layers, direction = spec.get("num_layers", 1), spec.get("direction", "forward")
    rest = sorted(set(spec) - {"input_size", "hidden_size", "num_layers", "direction"})
    variant = ", ".join(f"{name} = {spec[name]}" for name in rest) or "the standard cell"
    return Answer(
        question="What is it?",
        answer=f"LSTM, {spec.get('input_size')} → {spec.get('hidden_size')}",
        reason=f"{layers} layer{'s' * (layers != 1)}, {direction}; {variant}.",
    )


def _fast(findings: Findings) -> Answer:
    question = "How fast is it?"
    cycles = findings.summary.get("cycles_per_step")
    hardware = f" In hardware: {cycles:.4g} cycles per step." if isinstance(cycles, int | float) else ""
    for found in findings.of_kind("profile"):
        points = [point for point in found.result.data["throughput"] if point["mode"] == "inference"]
        if points:
            best = max(points, key=lambda point: point["sequences_per_second"])
            alone = min(points, key=lambda point: point["batch"])
            return Answer(
                question=question,
                answer=f"{human_rate(best['sequences_per_second'])} sequences/s",
                reason=(
                    f"At N = {best['batch']} on {found.result.data['device']}, {best['gflops']:.3g} GFLOP/s;"
                    f" N = {alone['batch']} takes {human_time(alone['median_seconds'])}.{hardware}"
                ),
            )
    if hardware:
        return Answer(question=question, answer=f"{cycles:.4g} cycles per step", reason="In hardware, as simulated.")
    return Answer(question=question, answer="not measured", reason="`gatesmith profile` measures it.")


def _big(findings: Findings) -> Answer:
    question = "How big is it?"
    luts = findings.summary.get("luts")
    brams = findings.summary.get("brams")
    hardware = f" In hardware: {luts:,} LUTs, {brams} block RAMs." if isinstance(luts, int) else ""
    for found in findings.of_kind("footprint"):
        data = found.result.data
        peak = data["peak"]
        size = peak["measured"] if peak["measured"] is not None else peak["predicted"]
        word = "measured" if peak["measured"] is not None else "predicted"
        what = "training" if data["training"] else "inference"
        off = f", {percent(abs(peak['disagreement']))} from the prediction" if peak["disagreement"] is not None else ""
        return Answer(
            question=question,
            answer=human_bytes(size),
            reason=f"Peak of {what} at N = {data['batch']}, T = {data['steps']}, {word}{off}.{hardware}",
        )
    if hardware:
        return Answer(question=question, answer=f"{luts:,} LUTs", reason=hardware.strip())
    return Answer(question=question, answer="not measured", reason="`gatesmith footprint` predicts and measures it.")


def _right(findings: Findings) -> Answer:
    question, summary = "How right is it?", findings.summary
    mismatched, compared = summary.get("mismatched_elements"), summary.get("compared_elements")
    if isinstance(mismatched, int) and isinstance(compared, int):
        accuracies = [
            f"{name} {summary[key]:.1%}"
            for name, key in (("float", "float_accuracy"), ("fixed", "fixed_accuracy"), ("RTL", "rtl_accuracy"))
            if isinstance(summary.get(key), int | float)
        ]
        return Answer(
            question=question,
            answer="bit-exact" if mismatched == 0 else f"{mismatched:,} elements differ",
            reason=f"{compared:,} elements of the hardware compared with its model. Accuracy: {', '.join(accuracies)}.",
        )
    for found in findings.of_kind("inspection"):
        rows = [row for rows in found.result.data["gate_errors"] for row in rows if row["gate"] == "all"]
        if rows:
            worst = max(row["output_worst"] for row in rows)
            return Answer(
                question=question,
                answer=f"error {worst:.1g}",
                reason="Largest error of the fixed-point model's output against the float64 reference.",
            )
    return Answer(question=question, answer="not compared", reason="The demo compares hardware, model and float.")


def _limit(findings: Findings) -> Answer:
    question = "What limits it?"
    for found in findings.of_kind("profile"):
        bottleneck = found.result.data["bottleneck"]
        return Answer(question=question, answer=bottleneck["bound"], reason=bottleneck["reason"])
    utilisation = findings.summary.get("mac_utilisation")
    if isinstance(utilisation, int | float):
        return Answer(
            question=question,
            answer="the multipliers" if utilisation > 0.9 else "the schedule",
            reason=f"In hardware the multipliers are busy {utilisation:.1%} of the time.",
        )
    return Answer(question=question, answer="not measured", reason="`gatesmith profile` finds the bound.")
