"""What training is asked for and what comes out of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from gatesmith.classifier import Classifier
from gatesmith.errors import InputError

Progress = Callable[[int, int, str], None]
"""Called with (done, total, a short line about the state)."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train; together with the data it decides the weights.

    Attributes:
        hidden_size: H of the one layer.
        epochs: at most; ``patience`` epochs without a better validation loss end it sooner.
        batch_size: sequences of one step of the optimiser, over all processes.
        noise: standard deviation of Gaussian noise on the standardised input, in training only.
        head_dropout: probability of dropping an element of what the head reads, in training only.
        validation_share: of each class, taken from the training data for early stopping.
    """

    hidden_size: int = 32
    epochs: int = 150
    patience: int = 40
    batch_size: int = 32
    learning_rate: float = 1e-2
    weight_decay: float = 1e-3
    noise: float = 0.8
    head_dropout: float = 0.5
    label_smoothing: float = 0.1
    gradient_norm: float = 1.0
    forget_bias: float = 1.0
    validation_share: float = 0.2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How the work is done; it changes the weights by rounding alone (``precision`` aside).

    Attributes:
        sharding: ``"ddp"`` keeps the parameters whole in every process, ``"fsdp"`` shards them (FSDP2).
        precision: of the products; ``"bfloat16"`` runs the model under autocast.
        accumulate: parts that every batch is computed in, one after the other, to save memory.
        compile: whether ``torch.compile`` compiles the model.
        timeout: seconds after which a process that waits for another one gives up.
    """

    sharding: Literal["ddp", "fsdp"] = "ddp"
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulate: int = 1
    compile: bool = False
    timeout: float = 600.0

    @classmethod
    def checked(cls, *, sharding: str, precision: str, accumulate: int, compile: bool, timeout: float) -> "Engine":
        """One from words of the user's own.

        Raises:
            InputError: a word is none of the choices.
        """
        return cls(
            sharding=cast("Any", sharding),
            precision=cast("Any", precision),
            accumulate=accumulate,
            compile=compile,
            timeout=timeout,
        )

    def __post_init__(self) -> None:
        for name, choices in (("sharding", ("ddp", "fsdp")), ("precision", ("float32", "bfloat16"))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(choices)}")
        if self.accumulate < 1 or self.timeout <= 0:
            raise InputError(
                f"accumulate is {self.accumulate} and timeout {self.timeout}; expected 1 or more, and positive seconds"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """A trained classifier and how it came about.

    Attributes:
        losses: (training loss of the epoch's batches, validation loss) of every epoch.
        resumed_from: the step of the checkpoint that this run went on from; None where it began anew.
    """

    classifier: Classifier
    recipe: Recipe
    epochs_run: int
    best_epoch: int
    validation_loss: float
    validation_accuracy: float
    processes: int = 1
    resumed_from: int | None = None
    losses: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a result file; the weights are saved apart."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "classifier"}
        return values | {"recipe": asdict(self.recipe), "spec": self.classifier.lstm.spec.to_json()}
