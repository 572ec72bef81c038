"""What holds for every test: PyTorch computes in one thread, because idle OpenMP threads spin and slow tiny tensors;
and Triton interprets its kernels where there is no GPU, which it decides when it is first imported.

After `pytest -m nightly` stands what each file took of the processor, its tools and simulators included.
"""

import ctypes.util
import os
from collections import Counter, defaultdict
from collections.abc import Generator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
if ctypes.util.find_library("cuda") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")

tests: Counter[str] = Counter()
processor_s: dict[str, float] = defaultdict(float)


def used_s() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    before = used_s()
    result = yield
    tests[item.location[0]] += 1
    processor_s[item.location[0]] += used_s() - before
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.markexpr != "nightly" or not tests:
        return
    terminalreporter.write_line("| file | tests | minutes of processor time |\n| --- | --- | --- |")
    for file in sorted(tests):
        terminalreporter.write_line(f"| `{file}` | {tests[file]} | {processor_s[file] / 60:.1f} |")
