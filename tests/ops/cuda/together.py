"""Programs of a Triton kernel that run together in the interpreter, and take turns wherever one waits for another.

Triton's own interpreter runs one program to its end before the next begins, so none may wait. Here every program has a
thread, one of which runs at a time; a program that reads a barrier's counter hands its turn to one drawn at random.
"""

import inspect
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from itertools import product
from threading import Condition, Thread
from typing import Any
from unittest import mock

from triton.runtime import interpreter

Index = tuple[int, int, int]


class Turns:
    """Whose turn it is among the programs of one launch."""

    def __init__(self, programs: list[Index], order: random.Random) -> None:
        self.waiting, self.order = list(programs), order
        self.current: Index | None = programs[0]
        self.errors: list[BaseException] = []
        self.polls = 0
        self.changed = Condition()

    def run(self, work: Callable[[], object]) -> None:
        threads = [Thread(target=self._run_one, args=(index, work)) for index in self.waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def hand_over(self) -> None:
        """Called by the program whose turn it is, when it looks whether others have come."""
        index = interpreter.interpreter_builder.grid_idx
        self.polls += 1
        assert self.polls < 10_000, "the programs wait for each other for ever"
        with self.changed:
            self._choose()
        self._await(index)

    def _run_one(self, index: Index, work: Callable[[], object]) -> None:
        try:
            self._await(index)
            work()
        except BaseException as error:
            self.errors.append(error)
        with self.changed:
            self.waiting.remove(index)
            self._choose()

    def _choose(self) -> None:
        self.current = self.order.choice(self.waiting) if self.waiting else None
        self.changed.notify_all()

    def _await(self, index: Index) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.current == index)
        interpreter.interpreter_builder.set_grid_idx(*index)


@contextmanager
def programs_together(seed: int) -> Generator[list[int]]:
    """Within, every launch runs its programs together; yields a list that gains the size of every launch."""
    builder, order, launches = interpreter.interpreter_builder, random.Random(seed), list[int]()
    turns: list[Turns] = []
    count = builder.create_atomic_rmw

    def create_atomic_rmw(rmw: Any, ptr: Any, val: Any, mask: Any, sem: Any, scope: Any) -> Any:
        if not val.data.any():  # adds nothing: it waits
            turns[-1].hand_over()
        else:
            turns[-1].polls = 0
        return count(rmw, ptr, val, mask, sem, scope)

    class Executor(interpreter.GridExecutor):
        def __call__(self, *given: Any, **options: Any) -> None:
            options = {name: value for name, value in options.items() if name in inspect.signature(self.fn).parameters}
            scope = interpreter._patch_lang(self.fn)
            try:
                named = inspect.getcallargs(self.fn, *given, **options)
                named = {
                    name: value if name in self.constexprs else interpreter._implicit_cvt(value)
                    for name, value in named.items()
                }
                builder.set_grid_dim(*self.grid)
                programs = list(product(*(range(size) for size in self.grid)))
                launches.append(len(programs))
                turns.append(Turns(programs, order))
                turns[-1].run(partial(self.fn, **named))
            finally:
                scope.restore()

    with (
        mock.patch.object(interpreter, "GridExecutor", Executor),
        mock.patch.object(builder, "create_atomic_rmw", create_atomic_rmw),
    ):
        yield launches
