"""Names that go into sources and paths."""

import re

import pytest

from gatesmith.errors import ExportError
from gatesmith.hardware.names import RESERVED, require_identifier


@pytest.mark.parametrize("name", ["lstm", "_a1", "Vowels_9", "l0_reverse"])
def test_identifiers_pass(name: str) -> None:
    assert require_identifier(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a;b", "../x", "a\n", "ä", "a$b", "x" * 101, None, 3])
def test_everything_else_is_refused(name: object) -> None:
    with pytest.raises(ExportError, match=re.escape(f"the name {name!r} is no SystemVerilog identifier")):
        require_identifier(name)


@pytest.mark.parametrize("name", ["module", "logic", "begin", "unique0", "s_until_with", "wire"])
def test_reserved_words_are_refused(name: str) -> None:
    with pytest.raises(ExportError, match="is a reserved word of SystemVerilog"):
        require_identifier(name)


def test_the_list_agrees_with_another_front_end() -> None:
    pyslang = pytest.importorskip("pyslang")
    for word in RESERVED:
        tree = pyslang.syntax.SyntaxTree.fromText(f"module {word}; endmodule\n")
        assert any(diagnostic.isError() for diagnostic in tree.diagnostics), word
