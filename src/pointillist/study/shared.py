"""A study with its data sets, and the state that the parts of a running study share."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pointillist.diffusion.schedules import Schedule, padded
from pointillist.progress import Bar, Interruption
from pointillist.study import measuring
from pointillist.study.grid import Cell, Dataset, study_cells
from pointillist.study.quantities import QUANTITIES, protocol
from pointillist.study.settings import Settings
from pointillist.study.spec import Spec, short_name
from pointillist.study.store import Store


@dataclass(frozen=True)
class Study:
    """A spec and its data sets, by name."""

    spec: Spec
    datasets: dict[str, Dataset]

    @cached_property
    def by_fingerprint(self) -> dict[str, Dataset]:
        """The data sets by fingerprint."""
        return {dataset.fingerprint: dataset for dataset in self.datasets.values()}

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, once each."""
        return study_cells(self.spec, {name: dataset.fingerprint for name, dataset in self.datasets.items()})

    @cached_property
    def table_length(self) -> int:
        """Length of the schedules' tables, the same for all cells so that they share compiled programs."""
        return max((cell.settings.timesteps for cell in self.cells), default=0) + 1

    def pending(self, store: Store) -> list[Cell]:
        """Lists the cells that the store lacks."""
        finished = store.finished()
        return [cell for cell in self.cells if cell.key not in finished]

    def without_baselines(self, store: Store) -> list[str]:
        """Lists the data sets for which the store lacks baselines."""
        return [name for name in self.datasets if any(self.missing_baselines(name, store))]

    def missing_baselines(self, name: str, store: Store) -> Iterator[tuple[str, Settings, list[str]]]:
        """Yields the baselines of a data set that the store lacks: protocol, settings, and names of quantities."""
        dataset = self.datasets[name]
        sections = [section for section in self.spec.sections if name in section.datasets]
        wanted = {protocol(column.settings): column.settings for section in sections for column in section.columns}
        for key, settings in wanted.items():
            known = store.baselines(dataset.fingerprint, key)
            unknown = [quantity for quantity in QUANTITIES[settings.kind] if quantity not in known]
            if missing := [quantity for quantity in unknown if measuring.has_baseline(quantity, dataset, settings)]:
                yield key, settings, missing


@dataclass(frozen=True)
class Shared:
    """A running study: its store of finished parts, its progress bar, and whether a stop was requested."""

    study: Study
    store: Store
    bar: Bar
    interruption: Interruption

    def dataset(self, cell: Cell) -> Dataset:
        """Returns a cell's data set."""
        return self.study.by_fingerprint[cell.dataset]

    def schedule(self, cell: Cell) -> Schedule:
        """Returns a cell's noise schedule, padded to the tables' common length."""
        return padded(cell.settings.noise_schedule(), self.study.table_length)

    def name(self, cell: Cell) -> str:
        """Returns a cell's name for messages."""
        settings = cell.settings
        what = settings.classifier or (settings.method if settings.kind == "classes" else f"T = {settings.timesteps}")
        w = f", w = {settings.guidance:g}" if settings.method == "guidance" and not settings.classifier else ""
        return f"{short_name(self.dataset(cell).name)}, {what}{w}"
