"""Puts the results of `make bench` into docs/performance.md and README.md as tables: `python -m benchmarks.tables`."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.markdown import between

Row = dict[str, Any]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "cpu.json"
PAGE = ROOT / "docs" / "performance.md"
HEADINGS = ("## Results", "## What is missed")
README = ROOT / "README.md"
MARKS = ("<!-- bench -->\n", "<!-- /bench -->\n")


def main() -> None:
    report = json.loads(RESULTS.read_text())
    before, after = PAGE.read_text().split(f"{HEADINGS[0]}\n")[0], PAGE.read_text().split(HEADINGS[1])[1]
    PAGE.write_text(f"{before}{HEADINGS[0]}\n\n{results(report)}\n{HEADINGS[1]}{after}")
    README.write_text(between(README.read_text(), MARKS, overview(report)))


def results(report: Row) -> str:
    """Everything between the two headings."""
    machine, limits = report["machine"], report["limits"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    peaks = "; ".join(
        f"{threads} thread{'s' * (threads != '1')} {limit['flops'] / 1e9:.0f} GFLOP/s "
        f"(L2 {limit['l2'] / 1e9:.0f}, L3 {limit['l3'] / 1e9:.0f} GB/s)"
        for threads, limit in limits.items()
    )
    commit = re.sub("-dirty$", "", machine["commit"])
    parts = [
        f"`python -m benchmarks.cpu` at commit `{commit}`, load average {machine['load_average']:.1f} when it began; "
        f"{versions}. FMA peak: {peaks}.",
        "![GFLOP/s at every point, the measured peak at the top](../benchmarks/results/cpu.svg)",
    ]
    for mode in ("inference", "training"):
        parts += [f"{mode.capitalize()}, two threads (one thread in brackets), ms:", _table(report["points"], mode)]
    parts.append("\n".join(f"- {line}" for line in (*_summary(report), *_rest(report))))
    return "\n\n".join(parts) + "\n"


def overview(report: Row) -> str:
    """One line a point, two threads: our speed, and its ratio to the fastest peer."""
    rows = {(row["mode"], row["point"]): row for row in report["points"] if row["threads"] == 2}
    lines = [
        "| two threads, float32 | inference, GFLOP/s | × fastest peer | training, GFLOP/s | × PyTorch |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(point for _, point in rows):
        inference, training = rows["inference", name], rows["training", name]
        lines.append(
            f"| {name} | {inference['gflops']:.0f} "
            f"| {inference['ratio']:.2f} ({inference['fastest_peer']}) "
            f"| {training['gflops']:.0f} | {training['ratio']:.2f} |"
        )
    return "\n".join(lines)


def _table(points: list[Row], mode: str) -> str:
    lines = [
        "| point | gatesmith | fastest peer | ratio | possible | of peak |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = {(row["point"], row["threads"]): row for row in points if row["mode"] == mode}
    for name in dict.fromkeys(point for point, _ in rows):
        one, two = rows[name, 1], rows[name, 2]
        ours, theirs = two["seconds"]["gatesmith"], two["seconds"][two["fastest_peer"]]
        lines.append(
            f"| {name} | {ours * 1e3:.2f} ({one['seconds']['gatesmith'] * 1e3:.2f}) "
            f"| {two['fastest_peer']} {theirs * 1e3:.2f} | {two['ratio']:.2f} ({one['ratio']:.2f}) "
            f"| {two['possible_ratio']:.2f} ({one['possible_ratio']:.2f}) | {two['share_of_peak']:.0%} |"
        )
    return "\n".join(lines)


def _summary(report: Row) -> list[str]:
    return [
        f"{name}: geometric mean {value['geometric_mean']:.2f}, least {value['least']:.2f}"
        for name, value in report["summary"].items()
    ]


def _rest(report: Row) -> list[str]:
    lines: list[str] = []
    for name, row in report["stream"].items():
        times = ", ".join(f"{who} {value * 1e6:.1f}" for who, value in row["seconds"].items())
        lines.append(f"one step at N = 1, H = 128, {name}, us: {times}; {row['ratio']:.1f} times the faster peer")
    for name, row in report["ragged"].items():
        lines.append(
            f"{name}: {row['time_share']:.2f} of the padded time at {row['valid_share']:.2f} of the steps; "
            f"{row['ratio_to_packed']:.1f} times PyTorch's PackedSequence"
        )
    times = ", ".join(f"T {steps}: {value * 1e6:.2f} us" for steps, value in report["steps"].items())
    lines.append(f"time of a step at growing T (N 4, H 64): {times}")
    for name, row in report["memory"].items():
        size = {key: value / 2**20 for key, value in row.items()}
        lines.append(
            f"memory at {name}, MiB: output {size['output']:.1f}, inference workspace {size['forward_workspace']:.2f}, "
            f"tape {size['tape']:.1f} ({size['tape_recomputing']:.1f} with `recompute=True`, in "
            f"{row['time_of_recomputing']:.2f} of the time), backward workspace {size['backward_workspace']:.1f}"
        )
    return lines


if __name__ == "__main__":
    main()
