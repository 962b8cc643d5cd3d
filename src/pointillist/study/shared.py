"""What the parts of a running study share: the store, the data sets, the progress and estimates of the work left."""

from collections.abc import Sequence
from dataclasses import dataclass

from pointillist.diffusion.classification import N_TIMES
from pointillist.diffusion.likelihood import EVALUATIONS_PER_STEP, n_tangents
from pointillist.engine.mapping import CLASS_STEPS
from pointillist.engine.training import sigma_data_of
from pointillist.models.gaussian import GaussianProcess
from pointillist.progress import Bar, Interruption, Keeping
from pointillist.study.grid import Cell, Dataset, has_fresh_rows
from pointillist.study.quantities import LIKELIHOOD_STEPS
from pointillist.study.settings import CHAINED, Settings
from pointillist.study.spec import short_name
from pointillist.study.store import Store

KEEP_EVERY = 10.0
"""Most seconds of training or sampling that a killed process loses, besides the call in progress."""


class Work:
    """Estimates of how long the parts take, for the progress bar, in floating-point operations.

    Args:
        datasets: Data sets by fingerprint.
        pending: Cells that are not finished.
        store: Store of the finished parts.
    """

    measuring = 1.5e11
    """Work of measuring a cell."""

    def __init__(self, datasets: dict[str, Dataset], pending: Sequence[Cell], store: Store) -> None:
        self._datasets = datasets
        models = {cell.model_key: self.training(cell) for cell in pending if cell.model_key}
        draws = {cell.rows_key: self.sampling(cell) for cell in pending if cell.rows_key}
        self.total = sum(work for key, work in models.items() if store.model(key) is None)
        self.total += sum(work for key, work in draws.items() if store.rows(key) is None)
        self.total += sum(self.classifying(cell) + self.measuring for cell in pending)

    def training(self, cell: Cell) -> float:
        """Work of training a cell's model."""
        settings = cell.settings
        steps = len(self._datasets[cell.dataset].rows) // settings.batch_size
        # Forward, and backward for activations and for weights.
        return 3.0 * settings.epochs * steps * settings.batch_size * self._of_a_row(cell)

    def sampling(self, cell: Cell) -> float:
        """Work of drawing a cell's rows."""
        settings = cell.settings
        evaluations = settings.candidates or (2 if settings.guidance else 1)
        evaluations += settings.method == CHAINED
        return float(settings.n_samples * settings.evaluations * evaluations) * self._of_a_row(cell)

    def classifying(self, cell: Cell) -> float:
        """Work of classifying held-out rows by the model, or of their likelihood; 0 for other classifiers."""
        dataset, settings = self._datasets[cell.dataset], cell.settings
        # A row's evaluation and those of its tangents, for each stage of a step.
        of_a_step = EVALUATIONS_PER_STEP * (1 + n_tangents(dataset.rows.shape[1]))
        times = {
            "elbo": N_TIMES * dataset.n_classes,
            "exact": CLASS_STEPS * of_a_step * dataset.n_classes,
            "rows": LIKELIHOOD_STEPS * of_a_step,
        }.get(settings.classifier or settings.kind, 0)
        return float(settings.n_held_out * times) * self._of_a_row(cell) * has_fresh_rows(dataset.name)

    def _of_a_row(self, cell: Cell) -> float:
        """Work of one row's pass through the network, about two operations per weight."""
        settings: Settings = cell.settings
        layers = settings.depth * (2 if settings.network == "residual" else 1)
        return 2.0 * settings.width * (layers * settings.width + settings.time_embedding + settings.class_embedding)


@dataclass(frozen=True)
class Shared:
    """What the parts of a running study share.

    Attributes:
        store: Store of finished models, rows and cells.
        datasets: Data sets by fingerprint.
        work: Estimates of the parts' work.
        bar: The progress bar.
        interruption: Says whether a stop was requested.
        table_length: Length of the schedules' tables, the same for all so that they share programs.
    """

    store: Store
    datasets: dict[str, Dataset]
    work: Work
    bar: Bar
    interruption: Interruption
    table_length: int

    def dataset(self, cell: Cell) -> Dataset:
        """Returns a cell's data set."""
        return self.datasets[cell.dataset]

    def process(self, cell: Cell) -> GaussianProcess:
        """Returns the process of a cell's model."""
        dataset, settings = self.dataset(cell), cell.settings
        return GaussianProcess(
            settings.architecture,
            settings.prediction,
            settings.padded_schedule(self.table_length),
            sigma_data_of(dataset.rows),
            dataset.n_classes,
            settings.p_uncond,
        )

    def keeping(self) -> Keeping:
        """Returns what keeps the state of long work now and then."""
        return Keeping(KEEP_EVERY, self.interruption)

    def say(self, what: str) -> None:
        """Shows the current step."""
        self.bar.say(what)

    def name(self, cell: Cell) -> str:
        """Returns a cell's name for messages."""
        settings = cell.settings
        what = settings.classifier or (settings.method if settings.kind == "classes" else f"T = {settings.timesteps}")
        w = f", w = {settings.guidance:g}" if settings.method == "guidance" and not settings.classifier else ""
        return f"{short_name(self.dataset(cell).name)}, {what}{w}"
