"""The state of a training as a file, from which the same training goes on and ends with the same weights."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import numpy as np
from jaxtyping import Float

from pointillist.engine import weights
from pointillist.engine.epochs import TrainingState
from pointillist.engine.recipes import Weights
from pointillist.estimators.model_file import ModelFileError, read_header, read_tensors, write_model


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
    """A file for the progress of one training.

    Attributes:
        path: The file; it need not exist.
        key: A hash of all that decides the weights.
        seed: Of the training.
        written: When this process last wrote it, in seconds of its clock.
    """

    path: Path
    key: str
    seed: int
    written: float = -math.inf

    def read(self, template: Progress) -> Progress | None:
        """What the file holds, a progress of the template's shapes; None if there is no file.

        Raises:
            ModelFileError: A ValueError, if the file is damaged or is no checkpoint.
            ValueError: If it is of another training.
        """
        if not self.path.exists():
            return None
        header, _ = read_header(self.path)
        if header.get("checkpoint") != self.key:
            raise ValueError(
                f"{self.path}: is no checkpoint of this training (other rows, parameters or version): give another "
                "name, or remove it to start anew"
            )
        return weights.from_named(template, read_tensors(self.path, weights.shapes(template)))

    def write(self, progress: Progress) -> None:
        """Writes the file, whole or not at all."""
        write_model(self.path, {"checkpoint": self.key, "seed": self.seed}, weights.named(progress))
        self.written = time.monotonic()


def seed_in(path: Path) -> int | None:
    """The seed of the training that a checkpoint is of; None if there is no checkpoint."""
    if not path.exists():
        return None
    seed = read_header(path)[0].get("seed")
    return seed if type(seed) is int and 0 <= seed < 2**32 else None


def remove_checkpoint(path: Path) -> None:
    """Removes a checkpoint of any training, if there is one.

    Raises:
        ValueError: If the file is something else, which is left alone.
    """
    if not path.exists():
        return
    try:
        is_checkpoint = "checkpoint" in read_header(path)[0]
    except ModelFileError:
        is_checkpoint = False
    if not is_checkpoint:
        raise ValueError(f"{path}: is no checkpoint of this version: remove it yourself, or give another name")
    path.unlink()
