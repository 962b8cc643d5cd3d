"""Checkpoints: files with the state of a training run, from which it resumes and ends with the same weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from pointillist.atomic_files import checking
from pointillist.engine import weights
from pointillist.engine.epochs import TrainingState
from pointillist.engine.recipes import Weights
from pointillist.models.container import ModelFileError, read_model, write_model


class CheckpointError(ModelFileError):
    """Raised for a checkpoint that is damaged or of another training run; the message is one line with its path."""


class Progress(eqx.Module):
    """Progress of a training run; losses are 0 for later epochs and checks.

    `best` has the weights with the lowest held-out loss; None without held-out rows.
    """

    state: TrainingState
    losses: Float[np.ndarray, " epochs"]
    validation: Float[np.ndarray, " checks"]
    best: Weights | None


@dataclass
class Checkpoint:
    """The file with the progress of one training run; it need not exist.

    `key` is the hash of everything that determines the weights, and `seed` the seed of the training run.
    """

    path: Path
    key: str
    seed: int

    def read(self, template: Progress) -> Progress | None:
        """Reads progress with the shapes of a template; returns None without a file.

        Raises a CheckpointError if the file is damaged, is no checkpoint, or belongs to another training run.
        """
        if not _is_written(self.path):
            return None
        try:
            facts, tensors = read_model(self.path)
            with checking(self.path, ModelFileError):
                if facts.get("checkpoint") == self.key:
                    return weights.from_named(template, tensors)
        except ModelFileError as error:
            raise CheckpointError(f"{error}; remove it to start over") from error
        raise CheckpointError(
            f"{self.path}: is not a checkpoint of this training run (rows, parameters or version differ): give "
            "another name, or remove it to start over"
        )

    def write(self, progress: Progress) -> None:
        """Writes the state atomically."""
        write_model(self.path, {"checkpoint": self.key, "seed": self.seed}, weights.named(progress))


def _is_written(path: Path) -> bool:
    """Returns whether there is a checkpoint; an empty file is left by a power failure, and ignored."""
    return path.exists() and not (path.is_file() and path.stat().st_size == 0)


def _facts_in(path: Path) -> dict[str, Any]:
    try:
        return read_model(path)[0]
    except ModelFileError:
        return {}


def seed_in(path: Path) -> int | None:
    """Returns the seed of the training run of a checkpoint; None without a checkpoint that can be read."""
    seed = _facts_in(path).get("seed") if _is_written(path) else None
    return seed if type(seed) is int and 0 <= seed < 2**32 else None


def remove_checkpoint(path: Path) -> None:
    """Removes a checkpoint of any training run; raises a ValueError if the file is not a checkpoint."""
    if _is_written(path) and "checkpoint" not in _facts_in(path):
        raise ValueError(f"{path}: is not a checkpoint of this version: remove it yourself, or give another name")
    path.unlink(missing_ok=True)
