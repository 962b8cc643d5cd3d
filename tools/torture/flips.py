"""Files of which one bit has changed: the same result as before, or a clear refusal."""

from collections.abc import Callable
from pathlib import Path

import equinox as eqx

from pointillist.models import training
from pointillist.models.checkpoint import Checkpoint, CheckpointError, Progress
from pointillist.models.container import ModelFileError
from pointillist.models.saving import load_model, save_model
from pointillist.study.store import Store, StoreError
from torture.changes import flip
from torture.in_process import Reached, accepts
from torture.jobs import FIT_MIXED, FIT_NUMBERS, STUDY, Job
from torture.kills import Bench
from torture.tally import Acceptance, Failed


def run(root: Path, n: int, seed: int, tally: Acceptance) -> None:
    """Flips n bits in each kind of file."""
    for job in (FIT_NUMBERS, FIT_MIXED):
        folder = root / f"flips-{job.folder}"
        folder.mkdir()
        job.prepare(folder)
        flip(f"bits of a model file: {job.name}", model_of(job, folder), n, seed, tally, same_model(folder))
        kept, progress = unfinished(job, folder)
        state = kept.path.read_bytes()
        flip(f"bits of a checkpoint: {job.name}", state, n, seed, tally, same_progress(kept, progress))
    study = Bench(STUDY, root)
    folder = study.folder()
    if (ended := study.start(folder).end()).status:
        raise RuntimeError(ended.text)
    store = folder / "results" / "study.db"
    whole = store.read_bytes()
    flip("bits of a store", whole, n, seed, tally, readable_store(store))


def refusing(error: Exception, path: Path) -> None:
    """Checks that an error is a clear line that names the file."""
    text = str(error)
    if not text.startswith(f"{path}: ") or "\n" in text or len(text) > 1000:
        raise Failed(f"unclear: {text!r:.500}")


def model_of(job: Job, folder: Path) -> bytes:
    """Fits a job's model in this process."""
    arguments = [str(folder / text) if (folder / text).exists() else text for text in job.arguments[:-1]]
    if not accepts([*arguments, str(folder / "m")], folder):
        raise RuntimeError(f"{job.name} was refused")
    return (folder / "m").read_bytes()


def same_model(folder: Path) -> Callable[[bytes], None]:
    """Checks a model file: it is refused, or loads as a model that is saved as before."""
    whole, path, again = (folder / "m").read_bytes(), folder / "flipped", folder / "again"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            model = load_model(path)
        except ModelFileError as error:
            return refusing(error, path)
        save_model(model, again)
        if again.read_bytes() != whole:
            raise Failed("loads as another model")

    return check


def unfinished(job: Job, folder: Path) -> tuple[Checkpoint, Progress]:
    """The second checkpoint of a fit that was stopped then, and what it holds."""
    written: list[tuple[Checkpoint, Progress]] = []

    def write(self: Checkpoint, progress: Progress) -> None:
        before[0](self, progress)
        written.append((self, progress))
        if len(written) == 2:
            raise Reached

    before = Checkpoint.write, training.CHECKPOINT_EVERY, training.STEPS_PER_CALL
    Checkpoint.write, training.CHECKPOINT_EVERY, training.STEPS_PER_CALL = write, 0.0, 24
    try:
        model_of(job, folder)
    finally:
        Checkpoint.write, training.CHECKPOINT_EVERY, training.STEPS_PER_CALL = before
    return written[1]


def same_progress(kept: Checkpoint, progress: Progress) -> Callable[[bytes], None]:
    """Checks a checkpoint: it is refused, or holds what it held."""

    def check(data: bytes) -> None:
        kept.path.write_bytes(data)
        try:
            found = kept.read(progress)
        except CheckpointError as error:
            return refusing(error, kept.path)
        if not eqx.tree_equal(found, progress, typematch=False):
            raise Failed("holds another state")

    return check


def readable_store(path: Path) -> Callable[[bytes], None]:
    """Checks a store: it is refused in one line, or opens."""

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            Store(path).close()
        except StoreError as error:
            refusing(error, path)

    return check
