"""The doctor finds what is here and says how to get what is not."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from gatesmith.doctor import PACKAGES, diagnose
from gatesmith.ops.devices import DEVICES


def test_versions_are_those_installed() -> None:
    found = {finding.name: finding for finding in diagnose() if finding.kind == "package"}
    assert set(found) == {name for name, _, _ in PACKAGES}
    for name, finding in found.items():
        try:
            assert finding.version == version(name)
        except PackageNotFoundError:
            assert not finding.found


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("gatesmith.doctor.version", nothing)
    torch = next(finding for finding in diagnose() if finding.name == "torch")
    assert not torch.found
    assert torch.hint == "pip install 'gatesmith[torch]'"


def test_every_device_is_listed_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatesmith.ops.reference.missing", lambda: "a miracle")
    devices = {finding.name: finding for finding in diagnose() if finding.kind == "device"}
    assert set(devices) == set(DEVICES)
    assert not devices["reference"].found
    assert devices["reference"].hint == "a miracle"
    assert devices["fixed"].found
