"""Draws the timing diagrams of the data sheet with WaveDrom; `python -m tests.hardware.waves` writes them anew.

The drawings stand beside their sources, so that an export needs no drawing program; a test compares.
"""

import re
from pathlib import Path

import wavedrom

FOLDER = Path(__file__).resolve().parents[2] / "src/gatesmith/hardware/templates/waves"


def drawn(source: str, name: str) -> str:
    """SVG with the few shapes that it uses and ids of its own, so that several fit into a page, in its style."""
    svg = str(wavedrom.render(source).tostring())
    used = set(re.findall(r'xlink:href="#([^"]+)"', svg))
    definitions, body = svg.split("</defs>")
    head, shapes = definitions.split("<defs>")
    kept = "".join(shape for shape in re.findall(r'<g id="[^"]+">.*?</g>', shapes) if shape.split('"')[1] in used)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    return re.sub(r'(id="|href="#)', rf"\1{name}-", f"{head}<defs>{kept}</defs>{body}\n")


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.json")):
        path.with_suffix(".svg").write_text(drawn(path.read_text(), path.stem))
