"""The state of a training as a file, from which the same training goes on and ends with the same weights."""

import math
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import numpy as np
from jaxtyping import Float

from pointillist.engine import weights
from pointillist.engine.epochs import TrainingState
from pointillist.engine.recipes import Weights
from pointillist.estimators.model_file import ModelFileError, read_description, read_tensors, write_model
from pointillist.files import naming


class Progress(eqx.Module):
    """Where a training stands.

    Attributes:
        state: Weights, optimiser, epoch.
        losses: Of every epoch, 0 for those to come.
        validation: Of every look at held-out rows, 0 for those to come.
        best: The weights at the least of them; None without held-out rows.
    """

    state: TrainingState
    losses: Float[np.ndarray, " epochs"]
    validation: Float[np.ndarray, " checks"]
    best: Weights | None


@dataclass
class Checkpoint:
    """Files for the progress of one training: the last state, and the one before it in case that is damaged.

    Attributes:
        path: The file of the last; it need not exist.
        key: A hash of all that decides the weights.
        seed: Of the training.
        written: When this process last wrote it, in seconds of its clock.
    """

    path: Path
    key: str
    seed: int
    written: float = -math.inf

    def read(self, template: Progress) -> Progress | None:
        """What the files hold, a progress of the template's shapes; None if there are none.

        Raises:
            ModelFileError: A ValueError, if all of them are damaged or no checkpoints.
            ValueError: If they are of another training.

        Warns:
            UserWarning: If training goes on from the state before the last.
        """
        damaged: ModelFileError | None = None
        for path in _written(self.path):
            try:
                facts, _ = read_description(path)
                if facts.get("checkpoint") != self.key:
                    raise ValueError(
                        f"{path}: is no checkpoint of this training (other rows, parameters or version): give another "
                        "name, or remove it to start anew"
                    )
                progress = weights.from_named(template, read_tensors(path, weights.shapes(template)))
            except ModelFileError as error:
                damaged = damaged or error
                continue
            if damaged is not None:
                warnings.warn(f"{damaged}; going on from {path}, the state before it", UserWarning, stacklevel=2)
            return progress
        if damaged is not None:
            raise ModelFileError(f"{damaged}; remove it to start anew") from damaged
        return None

    def write(self, progress: Progress) -> None:
        """Writes the last state, whole or not at all, and keeps the one before it."""
        if _written(self.path)[:1] == [self.path]:
            with naming(self.path):
                self.path.replace(previous(self.path))
        write_model(self.path, {"checkpoint": self.key, "seed": self.seed}, weights.named(progress))
        self.written = time.monotonic()


def previous(path: Path) -> Path:
    """The file of the state before the last."""
    return path.with_name(f"{path.name}.previous")


def _written(path: Path) -> list[Path]:
    """The files of a checkpoint that are there, the last first; an empty one is what a loss of power left of one."""
    found = [each for each in (path, previous(path)) if each.exists()]
    return [each for each in found if not each.is_file() or each.stat().st_size]


def seed_in(path: Path) -> int | None:
    """The seed of the training that a checkpoint is of; None if there is no checkpoint."""
    for each in _written(path):
        with suppress(ModelFileError):
            seed = read_description(each)[0].get("seed")
            return seed if type(seed) is int and 0 <= seed < 2**32 else None
    return None


def remove_checkpoint(path: Path) -> None:
    """Removes the files of a checkpoint of any training, if there are any.

    Raises:
        ValueError: If one is something else; all are left alone then.
    """
    for each in _written(path):
        try:
            is_checkpoint = "checkpoint" in read_description(each)[0]
        except ModelFileError:
            is_checkpoint = False
        if not is_checkpoint:
            raise ValueError(f"{each}: is no checkpoint of this version: remove it yourself, or give another name")
    forget(path)


def forget(path: Path) -> None:
    """Removes the files of a finished checkpoint."""
    for each in (path, previous(path)):
        each.unlink(missing_ok=True)
