"""The loop: epochs of batches, each a function of the state before it, so that it can stop and go on anywhere."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from gatesmith.classifier import Array
from gatesmith.datasets import Sequences
from gatesmith.errors import InputError
from gatesmith.train.checkpoint import Checkpoints, State
from gatesmith.train.model import Network, to_classifier
from gatesmith.train.processes import Processes, joined
from gatesmith.train.recipe import Engine, Progress, Recipe, Training
from gatesmith.train.sharding import Whole, wrap
from gatesmith.train.sources import MemorySource, Source, draw_noise, trimmed


def run_training(
    data: Sequences | Source,
    recipe: Recipe,
    engine: Engine,
    checkpoints: Checkpoints | None,
    progress: Progress | None,
) -> Training:
    """What :func:`gatesmith.train.train` says."""
    if isinstance(data, Sequences):
        data = MemorySource(
            data, batch_size=recipe.batch_size, validation_share=recipe.validation_share, seed=recipe.seed
        )
    with joined(engine.timeout) as processes:
        run = _Run(
            recipe=recipe, engine=engine, source=data, processes=processes, checkpoints=checkpoints, progress=progress
        )
        return run.whole()


@dataclass(kw_only=True)
class _Position:
    """How far a run is; plain values, which a checkpoint holds as JSON.

    Attributes:
        step: of the optimiser, over all epochs.
        epoch, batch: the next batch.
        sequences: of the batches of this epoch so far.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    sequences: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    best_accuracy: float = 0.0
    losses: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])


class _Run:
    """One run of training in one process."""

    def __init__(
        self,
        *,
        recipe: Recipe,
        engine: Engine,
        source: Source,
        processes: Processes,
        checkpoints: Checkpoints | None,
        progress: Progress | None,
    ) -> None:
        self.recipe, self.engine, self.source, self.processes = recipe, engine, source, processes
        self.checkpoints, self.progress = checkpoints, progress
        torch.manual_seed(recipe.seed)
        network = Network(source.features, source.classes, recipe).to(processes.device)
        self.whole_state = Whole(wrap(network, engine, processes), processes)
        self.model = self.whole_state.model
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, recipe.epochs)
        self.compiled = torch.compile(self.model) if engine.compile else self.model
        self.position = _Position()
        # Of this epoch's batches so far: of this process, on its device, so that no step waits for it.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=processes.device)
        self.best: dict[str, Tensor] = {}
        self.resumed_from: int | None = None
        # Every process draws its own stream, for modules that draw while they run; what is drawn here is by sequence.
        torch.manual_seed(recipe.seed + processes.rank)

    def whole(self) -> Training:
        """All epochs that are left."""
        self._resume()
        position, recipe = self.position, self.recipe
        while position.epoch < recipe.epochs and not self._is_patience_over():
            for batch in self.source.batches(position.epoch, start=position.batch):
                self._step(batch)
                if self.checkpoints and position.step % self.checkpoints.every == 0:
                    self._save()
            self._end_epoch()
        network = Network(self.source.features, self.source.classes, recipe)
        network.load_state_dict(self.best)
        return Training(
            classifier=to_classifier(network, self.source.mean, self.source.deviation),
            recipe=recipe,
            epochs_run=position.epoch,
            best_epoch=position.best_epoch,
            validation_loss=position.best_loss,
            validation_accuracy=position.best_accuracy,
            processes=self.processes.count,
            resumed_from=self.resumed_from,
            losses=position.losses,
        )

    def _step(self, batch: Sequences) -> None:
        """One step of the optimiser; every process computes its share, and the gradients are summed."""
        mine = self.processes.share(list(range(len(batch))))
        parts = [part for start in range(self.engine.accumulate) if (part := mine[start :: self.engine.accumulate])]
        parts = parts or [[]]  # a process without a sequence takes part in the sum all the same
        draws = None
        if self.recipe.noise or self.recipe.head_dropout:
            draws = draw_noise(
                batch,
                seed=self.recipe.seed,
                epoch=self.position.epoch,
                index=self.position.batch,
                head=self.recipe.hidden_size,
                dropout=self.recipe.head_dropout,
            )
        self.optimiser.zero_grad()
        for index, part in enumerate(parts):
            with self.whole_state.synchronised(index == len(parts) - 1):
                loss = self._loss(batch, part, draws)[0]
                # The engines average gradients over processes; the mean over the global batch is wanted.
                (loss * (self.processes.count / len(batch))).backward()  # pyright: ignore[reportUnknownMemberType]
                self.loss_sum += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_norm)
        self.optimiser.step()
        position = self.position
        position.sequences += len(batch)
        position.step, position.batch = position.step + 1, position.batch + 1

    def _end_epoch(self) -> None:
        """Validate, remember the best weights, and move on to the next epoch."""
        self.schedule.step()
        loss, accuracy = self._validate()
        position = self.position
        position.losses.append((float(self.processes.add_up(self.loss_sum)) / max(1, position.sequences), loss))
        self.loss_sum.zero_()
        if loss < position.best_loss:
            position.best_loss, position.best_epoch, position.best_accuracy = loss, position.epoch, accuracy
            self.best = {name: tensor.clone() for name, tensor in self.whole_state.parameters().items()}
        position.epoch, position.batch, position.sequences = position.epoch + 1, 0, 0
        if self.progress and self.processes.is_first:
            self.progress(
                position.epoch,
                self.recipe.epochs,
                f"validation loss {position.best_loss:.3f}, accuracy {position.best_accuracy:.1%}",
            )

    def _validate(self) -> tuple[float, float]:
        """(loss, accuracy) on the validation part, summed over all processes."""
        totals = torch.zeros(3, dtype=torch.float64)  # loss, right ones, sequences
        with torch.no_grad():
            for batch in self.source.validation():
                mine = self.processes.share(list(range(len(batch))))
                loss, logits = self._loss(batch, mine)
                assert batch.labels is not None
                right = (logits.argmax(1).cpu().numpy() == batch.labels[mine]).sum()
                totals += torch.tensor([float(loss), float(right), len(mine)], dtype=torch.float64)
        loss, right, count = cast("list[float]", self.processes.add_up(totals).tolist())
        if not count:
            raise InputError("no sequence was left to validate with; expected a larger validation_share or more data")
        return loss / count, right / count

    def _loss(
        self, batch: Sequences, index: list[int], draws: tuple[Array, Array] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(sum of the losses of some sequences of a batch, their logits); ``draws`` of the whole batch in training."""
        device, part = self.processes.device, trimmed(batch, index)
        assert part.labels is not None
        x, factors = (part.x - self.source.mean) / self.source.deviation, None
        if draws is not None:
            x = x + self.recipe.noise * draws[0][: len(x), index]
            factors = torch.from_numpy(draws[1][index]).to(device)
        half = torch.autocast(device.type, torch.bfloat16, enabled=self.engine.precision == "bfloat16")
        with half:
            logits = self.compiled(torch.from_numpy(x).to(device), torch.from_numpy(part.lengths).to(device), factors)
        target = torch.from_numpy(part.labels).to(device)
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(
            logits.float(), target, label_smoothing=smoothing, reduction="sum"
        ), logits.float()

    def _is_patience_over(self) -> bool:
        return self.position.epoch - 1 - self.position.best_epoch >= self.recipe.patience

    def _asked(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to be this run's."""
        return dataclasses.asdict(self.recipe) | {"features": self.source.features, "classes": self.source.classes}

    def _save(self) -> None:
        """Collective: the first process writes what all of them hold."""
        assert self.checkpoints is not None
        randoms = self.processes.gather(torch.get_rng_state())
        tensors = {f"parameter.{name}": tensor for name, tensor in self.whole_state.parameters().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"moment.{name}": tensor for name, tensor in self.whole_state.moments(self.optimiser).items()}
        tensors |= {f"random.{rank}": state for rank, state in enumerate(randoms)}
        values = {
            "asked": self._asked(),
            "position": dataclasses.asdict(self.position),
            "loss_sum": float(self.processes.add_up(self.loss_sum)),
            "schedule": {name: value for name, value in self.schedule.state_dict().items() if not callable(value)},
            "learning_rates": [group["lr"] for group in self.optimiser.param_groups],
        }
        if self.processes.is_first:
            self.checkpoints.save(self.position.step, State(tensors=tensors, values=values))
        self.processes.wait()

    def _resume(self) -> None:
        """Go on from the newest whole checkpoint, the same one in every process."""
        if self.checkpoints is None:
            return
        if self.processes.is_first:
            self.checkpoints.clear_leavings()
        found = self.checkpoints.load_newest()
        step = torch.tensor([-1 if found is None else found[0]])
        if len({int(other) for other in self.processes.gather(step)}) > 1:
            raise InputError(
                f"the processes see different checkpoints in {self.checkpoints.folder}; expected one shared folder"
            )
        self.processes.wait()
        if found is None:
            return
        step, state = found
        if state.values["asked"] != self._asked():
            raise InputError(
                f"the checkpoints in {self.checkpoints.folder} are of another recipe or other data; "
                "expected the same ones, or another folder"
            )
        self.whole_state.load(state.under("parameter"), state.under("moment"), self.optimiser)
        self.best = state.under("best")
        self.schedule.load_state_dict(state.values["schedule"])
        for group, rate in zip(self.optimiser.param_groups, state.values["learning_rates"], strict=True):
            group["lr"] = rate
        given = dict(state.values["position"])
        given["losses"] = [(float(a), float(b)) for a, b in given["losses"]]
        self.position = _Position(**given)
        self.loss_sum.fill_(state.values["loss_sum"] if self.processes.is_first else 0.0)
        randoms = state.under("random")
        if str(self.processes.rank) in randoms:
            torch.set_rng_state(randoms[str(self.processes.rank)])
        self.resumed_from = step
