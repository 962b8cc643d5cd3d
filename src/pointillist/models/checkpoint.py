"""Checkpoints: files with the state of a training run, from which it resumes and ends with the same weights."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import numpy as np
from jaxtyping import Float

from pointillist.atomic_files import naming
from pointillist.engine import weights
from pointillist.engine.epochs import TrainingState
from pointillist.engine.recipes import Weights
from pointillist.models.container import ModelFileError, read_description, read_tensors, write_model


class CheckpointError(ModelFileError):
    """Raised for a checkpoint that is damaged or of another training run; the message is one line with its path."""


class Progress(eqx.Module):
    """Progress of a training run.

    Attributes:
        state: Weights, optimizer state and epoch.
        losses: Training loss of each epoch; 0 for later epochs.
        validation: Held-out loss at each check; 0 for later checks.
        best: Weights with the lowest held-out loss; None without held-out rows.
    """

    state: TrainingState
    losses: Float[np.ndarray, " epochs"]
    validation: Float[np.ndarray, " checks"]
    best: Weights | None


@dataclass
class Checkpoint:
    """Files with the progress of one training run: the last state, and the state before it in case the last is damaged.

    Attributes:
        path: File of the last state; it need not exist.
        key: Hash of everything that determines the weights.
        seed: Seed of the training run.
    """

    path: Path
    key: str
    seed: int

    def read(self, template: Progress) -> Progress | None:
        """Reads the progress; returns None if there are no files.

        Args:
            template: Progress with the expected shapes.

        Raises:
            ModelFileError: A ValueError, if all files are damaged or are not checkpoints.
            ValueError: If they belong to another training run.

        Warns:
            UserWarning: If training resumes from the state before the last.
        """
        damaged: ModelFileError | None = None
        for path in _written(self.path):
            try:
                facts, _ = read_description(path)
                if facts.get("checkpoint") != self.key:
                    raise CheckpointError(
                        f"{path}: is not a checkpoint of this training run (rows, parameters or version differ): give "
                        "another name, or remove it to start over"
                    )
                progress = weights.from_named(template, read_tensors(path, weights.shapes(template)))
            except CheckpointError:
                raise
            except ModelFileError as error:
                damaged = damaged or error
                continue
            if damaged is not None:
                # The next write would otherwise move the damaged file over the good one.
                self.path.unlink()
                warnings.warn(f"{damaged}; resuming from {path}, the state before it", UserWarning, stacklevel=2)
            return progress
        if damaged is not None:
            raise CheckpointError(f"{damaged}; remove it to start over") from damaged
        return None

    def write(self, progress: Progress) -> None:
        """Writes the state atomically, and keeps the state before it."""
        if _written(self.path)[:1] == [self.path]:
            with naming(self.path):
                self.path.replace(previous(self.path))
        write_model(self.path, {"checkpoint": self.key, "seed": self.seed}, weights.named(progress))


def previous(path: Path) -> Path:
    """Returns the file of the state before the last."""
    return path.with_name(f"{path.name}.previous")


def _written(path: Path) -> list[Path]:
    """Existing files of a checkpoint, the last state first; an empty file is left by a power failure, and ignored."""
    found = [each for each in (path, previous(path)) if each.exists()]
    return [each for each in found if not each.is_file() or each.stat().st_size]


def seed_in(path: Path) -> int | None:
    """Returns the seed of the training run of a checkpoint; None without a checkpoint."""
    for each in _written(path):
        with suppress(ModelFileError):
            seed = read_description(each)[0].get("seed")
            return seed if type(seed) is int and 0 <= seed < 2**32 else None
    return None


def remove_checkpoint(path: Path) -> None:
    """Removes the files of a checkpoint of any training run.

    Raises:
        ValueError: If one of the files is not a checkpoint; none is removed then.
    """
    for each in _written(path):
        try:
            is_checkpoint = "checkpoint" in read_description(each)[0]
        except ModelFileError:
            is_checkpoint = False
        if not is_checkpoint:
            raise ValueError(f"{each}: is not a checkpoint of this version: remove it yourself, or give another name")
    forget(path)


def forget(path: Path) -> None:
    """Removes the files of a finished checkpoint."""
    for each in (path, previous(path)):
        each.unlink(missing_ok=True)
