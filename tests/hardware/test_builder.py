"""The cache of built programs: whole or not there, and a name that tells every part."""

import os
from pathlib import Path

import pytest

from gatesmith.errors import MissingToolError, ToolError
from gatesmith.hardware import builder


def test_a_build_that_succeeds_is_published_whole(tmp_path: Path) -> None:
    with builder.published(tmp_path / "cache" / "name") as inner:
        (inner / "program").write_text("built")
        assert not (tmp_path / "cache" / "name").exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["name"]
    assert (tmp_path / "cache" / "name" / "program").read_text() == "built"


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def build() -> None:
        with builder.published(tmp_path / "cache" / "name") as inner:
            (inner / "program").write_text("half")
            raise ToolError("the compiler failed")

    with pytest.raises(ToolError, match="the compiler failed"):
        build()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_faster_of_two_processes_wins(tmp_path: Path) -> None:
    with builder.published(tmp_path / "name") as inner:
        (inner / "program").write_text("second")
        (tmp_path / "name").mkdir()
        (tmp_path / "name" / "program").write_text("first")
    assert (tmp_path / "name" / "program").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


def test_a_name_tells_every_part_and_where_it_ends() -> None:
    names = {builder.digest(*parts) for parts in ((b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"ab", b"c", b""), ())}
    assert len(names) == 5
    assert builder.digest(b"ab", b"c") == builder.digest(b"ab", b"c")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"GATESMITH_CACHE": "here", "XDG_CACHE_HOME": "there"}, "here"),
        ({"XDG_CACHE_HOME": "there"}, "there/gatesmith"),
        ({"HOME": "home"}, "home/.cache/gatesmith"),
    ],
)
def test_where_the_cache_is(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATESMITH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert builder.cache_folder() == Path(expected)


def test_a_tool_that_fails_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"sh failed with exit code 3:\nno such module"):
        builder.call(["/bin/sh", "-c", "echo no such module >&2; exit 3"], tmp_path, os.environ)
    with pytest.raises(ToolError, match="no-such-tool can't be started"):
        builder.call(["no-such-tool"], tmp_path, os.environ)


def test_a_tool_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "BUILD_TIMEOUT_S", 0.2)
    with pytest.raises(ToolError, match="sleep was stopped after"):
        builder.call(["sleep", "60"], tmp_path, os.environ)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingToolError, match=r"a test needs the package no-such-package, install gatesmith\[rtl\]"):
        builder.package_folder("no_such_package", "a test")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingToolError, match=r"a test needs the C\+\+ compiler no-such-compiler"):
        builder.package_folder("numpy", "a test")
