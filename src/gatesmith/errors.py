"""Every exception that gatesmith raises on purpose, and the exit code that the command line gives it.

A message is one sentence: what is wrong, what was given, what was expected, what to do.
"""


class GatesmithError(Exception):
    """Root of every error that a user of gatesmith can cause or mend."""

    exit_code = 2


class SpecError(GatesmithError, ValueError):
    """A specification is impossible or contradicts itself."""


class WeightsError(GatesmithError, ValueError):
    """Weights do not satisfy their specification, or a weight file can't be read."""


class InputError(GatesmithError, ValueError):
    """An array or a value passed to the operator has a wrong shape, type or range."""


class UnsupportedError(GatesmithError, NotImplementedError):
    """A device, a framework or a file format can't express a feature of the specification."""


class FormatError(GatesmithError, ValueError):
    """A fixed-point format or plan is impossible."""


class OutputError(GatesmithError, OSError):
    """A file or a folder can't be written."""


class ExportError(GatesmithError):
    """A folder can't be written or isn't a gatesmith export."""


class MissingToolError(GatesmithError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    exit_code = 3


class ToolError(GatesmithError):
    """An outside tool (simulator, synthesiser, compiler) failed, died or ran out of time."""

    exit_code = 4


class MismatchError(GatesmithError):
    """Two implementations that must agree did not."""

    exit_code = 5
