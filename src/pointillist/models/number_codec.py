"""The codec of tables of numbers: each column that varies is scaled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import LARGEST_INTEGER
from pointillist.columns.codec import Codec, Ends, Observed
from pointillist.columns.grids import MAX_DECIMALS
from pointillist.columns.scaling import AffineScaling, QuantileScaling
from pointillist.columns.table_scaling import TableScaling
from pointillist.foreign_text import listed
from pointillist.tables.layout import Layout


@dataclass(frozen=True)
class NumberCodec(Codec):
    """Scales the columns that vary, and puts constant ones back; decoded rows are arrays of shape (n, d), float64.

    Attributes:
        scaling: Scaling between the units of the table and what the network sees.
    """

    scaling: TableScaling

    @property
    def types(self) -> tuple[str, ...]:
        """NumPy's names of the columns' types."""
        return self.layout.types

    @property
    def width(self) -> int:
        """Number of columns that vary."""
        return int(self.scaling.varies.sum())

    def encode(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Scales the columns that vary; float32."""
        return self.scaling.transform(rows)

    def decode(
        self, drawn: Float[np.ndarray, "n k"], given: Observed, rows: slice, ends: Ends | None = None
    ) -> Float[np.ndarray, "n d"]:
        """Returns rows in the units of the table."""
        decoded = self.scaling.inverse(drawn)
        for name, cells in given.items():
            decoded[:, self.place(name)] = cells.part(rows, len(drawn)).values
        for name, own in (ends or {}).items():
            decoded[:, self.place(name)] = np.clip(decoded[:, self.place(name)], own.low, own.high)
        return decoded

    def place(self, name: Any) -> int:
        """Position of a column, by its name, or where columns have no names by its position.

        Raises:
            ValueError: If there is no such column.
        """
        names = tuple(range(self.n_columns)) if self.names is None else self.names
        if isinstance(name, bool) or name not in names:
            raise ValueError(
                f"there is no column {name!r}: the model's columns are {listed([str(each) for each in names])}"
            )
        return names.index(name)

    def joined(self, parts: Sequence[np.ndarray]) -> Float[np.ndarray, "n d"]:
        """Joins decoded rows."""
        return np.concatenate([np.empty((0, self.n_columns)), *parts])

    def columns(self, decoded: Float[np.ndarray, "n d"]) -> list[np.ndarray]:
        """Splits decoded rows into columns, each of its own type."""
        return self.layout.columns(decoded)

    def facts(self) -> dict[str, Any]:
        """Returns the layout and the kind of scaling."""
        kind = "quantile" if isinstance(self.scaling.varying, QuantileScaling) else "affine"
        return {"layout": self.layout.to_json(), "scaling": kind}

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the scaling's arrays."""
        scaling = self.scaling
        common = {
            "minimum": scaling.minimum,
            "maximum": scaling.maximum,
            "decimals": scaling.decimals,
            "steps": scaling.steps,
            "ends": scaling.is_end.astype(np.int64),
        }
        if isinstance(scaling.varying, QuantileScaling):
            return {**common, "quantiles": scaling.varying.quantiles}
        assert isinstance(scaling.varying, AffineScaling)
        return {**common, "centre": scaling.varying.centre, "unit": scaling.varying.unit}

    @classmethod
    def from_tensors(cls, layout: Layout, tensors: dict[str, np.ndarray]) -> "NumberCodec":
        """Rebuilds a codec from its layout and what `tensors` returned.

        Raises:
            ValueError: If there is no such scaling, or no such grid.
        """
        decimals, steps, ends = (tensors[name] for name in ("decimals", "steps", "ends"))
        is_possible = (decimals >= 0) & (decimals <= MAX_DECIMALS) & (steps >= 0) & (steps <= LARGEST_INTEGER)
        is_of_integers = (decimals == 0) & (steps > 0) & (ends == 1).all(axis=0)
        if not is_possible.all() or not np.isin(ends, (0, 1)).all() or not is_of_integers[layout.is_whole].all():
            raise ValueError("its grids do not fit its columns")
        varying: AffineScaling | QuantileScaling
        if "quantiles" in tensors:
            varying = QuantileScaling(tensors["quantiles"])
            fits = (np.diff(tensors["quantiles"], axis=0) >= 0).all()
            k = tensors["quantiles"].shape[1]
        else:
            varying = AffineScaling(tensors["centre"], tensors["unit"])
            fits, k = (tensors["unit"] >= 0).all(), len(tensors["unit"])
        scaling = TableScaling(
            tensors["minimum"], tensors["maximum"], layout.is_whole, varying, decimals, steps, ends > 0
        )
        if not fits or scaling.varies.sum() != k:
            raise ValueError("its scaling does not fit its columns")
        return cls(layout, scaling)
