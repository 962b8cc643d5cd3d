"""What the parts of a running study share: the store, the data sets, the progress."""

from dataclasses import dataclass

from pointillist.engine.training import sigma_data_of
from pointillist.models.gaussian import GaussianProcess
from pointillist.progress import Bar, Interruption, Keeping
from pointillist.study.grid import Cell, Dataset
from pointillist.study.spec import short_name
from pointillist.study.store import Store
from pointillist.study.work import Work

KEEP_EVERY = 10.0
"""Most seconds of training or sampling that a killed process loses, besides the call in progress."""


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
