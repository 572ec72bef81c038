"""The core needs no framework, and a framework that is missing is a sentence that names the extra."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from gatesmith.errors import MissingToolError


@pytest.mark.parametrize("name", ["torch", "onnx", "keras", "tflite"])
def test_a_missing_framework_names_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"gatesmith.{name}", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingToolError, match=rf"pip install 'gatesmith\[{name}\]'") as caught:
        importlib.import_module(f"gatesmith.{name}")
    assert caught.value.exit_code == 3


def test_the_core_imports_no_framework() -> None:
    code = "import sys, gatesmith; print(sorted({'torch', 'onnx', 'h5py', 'tflite', 'triton'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
