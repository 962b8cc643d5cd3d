"""Draws rows from a model: a request becomes a stream of values, and these become rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.diffusion.conditioning.observed_sampling import CentredSampler, GivenSampler
from pointillist.diffusion.samplers import RowSampler
from pointillist.diffusion.trajectories import Walk
from pointillist.engine.remote import stream_rows_on_ray
from pointillist.engine.sampling import rows_per_chunk, sample_rows, stream_rows, whole_draws
from pointillist.engine.trajectories import noise_levels, sample_walks
from pointillist.models.conditioning import Tally, conditioned
from pointillist.models.number_codec import NumberCodec
from pointillist.models.process import Drawing, Learned
from pointillist.models.request import Request
from pointillist.models.token_codec import TokenCodec
from pointillist.queries.consistency import consistent


@dataclass(frozen=True)
class Walks:
    """Paths of rows from noise to data.

    Attributes:
        points: Shape (times, n, d), in the units of the table: x_t of each row as the model sees it, with only the
            scaling undone, and at the last time the row itself.
        steps: Number of sampler steps taken before each time, shape (times,).
        noise_levels: σ = sigma_t / alpha_t at each time, shape (times,); 0 at the last.
        labels: Labels of the rows, shape (n,), if requested.
    """

    points: Float[np.ndarray, "times n d"]
    steps: Int[np.ndarray, " times"]
    noise_levels: Float[np.ndarray, " times"]
    labels: np.ndarray | None


class Draw:
    """A request for rows, checked.

    Args:
        model: The model.
        request: The request.

    Attributes:
        n_rows: Number of rows.
        effective_sample_size: Number of independent rows with as much information as the rows drawn under ranges, sets
            and `present`; None without these conditions. It is below the number of rows if rows share ancestors.

    Raises:
        ValueError: In one line, if the model cannot do what is asked.
    """

    def __init__(self, model: Learned, request: Request) -> None:
        self._model = model
        self._request = request
        self._drawing = model.process.drawing(model, request)
        self.n_rows = self._drawing.n_rows
        self._tally: Tally | None = None

    @property
    def effective_sample_size(self) -> float | None:
        """Effective number of the rows that were drawn."""
        return None if self._tally is None else self._tally.effective_size

    def parts(self, engine: str = "local", address: str | None = None) -> Iterator[tuple[Any, np.ndarray | None]]:
        """Yields rows as the codec decodes them, in order, as they are computed, with their labels if requested.

        Args:
            engine: One of `cluster.ENGINES`.
            address: Address of a Ray cluster, for "ray"; None for a cluster on this machine.
        """
        first, drawing = 0, self._drawing
        self._tally = Tally(drawing.conditions) if drawing.sampler.n_notes else None
        codec = self._model.codec

        def stream(drawing: Drawing, tally: Tally | None = None) -> Iterator[np.ndarray]:
            own = Tally(drawing.conditions) if drawing.sampler.n_notes and tally is None else tally
            for drawn in streamed(drawing, codec.width, engine, address, own):
                self._model.process.check(drawn, self._request)
                yield drawn

        drawn_rows = stream(drawing, self._tally)
        if isinstance(codec, TokenCodec) and codec.relations and (drawing.given or drawing.ends):
            drawn_rows = consistent(drawn_rows, stream, drawing, codec)
        for drawn in drawn_rows:
            rows = slice(first, first + len(drawn))
            first += len(drawn)
            yield codec.decode(drawn, drawing.given, rows, drawing.ends), self._labels(drawn, rows)

    def rows(self, progress: Callable[[int], None] = lambda n: None) -> tuple[Any, np.ndarray | None]:
        """Returns all of `parts` at once; calls `progress` with the number of new rows."""
        parts, labels = [], []
        for part, own in self.parts():
            parts.append(part)
            labels.append(own)
            progress(len(part))
        classes = self._model.classes
        joined = self._model.codec.joined(parts)
        if not self._request.return_labels or classes is None:
            return joined, None
        return joined, np.concatenate([classes.labels[:0], *labels])

    def walks(self, times: int) -> Walks:
        """Draws the rows with their paths, at times spread evenly over the steps, or at every step if there are fewer.

        Args:
            times: Most times, at least 2; the first is that of x_T and the last that of x_0.

        Raises:
            ValueError: If a reward steers the rows, or the model is of tokens.
        """
        drawing, codec = self._drawing, self._model.codec
        if not isinstance(codec, NumberCodec):
            raise ValueError("rows of tokens have no paths: take a model of numbers (process='gaussian')")
        if isinstance(drawing.sampler, GivenSampler):
            raise ValueError("paths are those of whole rows, and where gives values: leave where out")
        sampler = drawing.sampler.sampler if isinstance(drawing.sampler, CentredSampler) else drawing.sampler
        if not isinstance(sampler, RowSampler):
            what = "in ranges" if drawing.sampler.n_notes else "steered by a reward"
            left_out = "where" if drawing.sampler.n_notes else "reward"
            raise ValueError(f"a row {what} is chosen from many and has no single path: leave {left_out} out")
        n_steps = int(sampler.n_steps)
        steps = np.linspace(0, n_steps, min(times, n_steps + 1)).astype(np.int32)
        walk = Walk(sampler, steps[:-1])
        scaled = sample_walks(
            drawing.denoiser,
            walk if sampler is drawing.sampler else CentredSampler(walk),
            columns=codec.width,
            n_rows=drawing.n_rows,
            seed=drawing.seed,
            labels=drawing.labels,
            prior=drawing.prior,
        )
        points = np.stack([*map(codec.scaling.in_units, scaled[:-1]), codec.scaling.inverse(scaled[-1])])
        return Walks(points, steps, np.asarray(noise_levels(walk)), self._labels(scaled[-1], slice(None)))

    def _labels(self, drawn: np.ndarray, rows: slice) -> np.ndarray | None:
        classes = self._model.classes
        if not self._request.return_labels or classes is None:
            return None
        return classes.labels[self._model.process.label_indices(self._model, self._drawing, drawn, rows)]


def streamed(
    drawing: Drawing, width: int, engine: str = "local", address: str | None = None, tally: Tally | None = None
) -> Iterator[Float[np.ndarray, "m width"]]:
    """Yields encoded rows as they are drawn.

    Args:
        drawing: What is drawn.
        width: Number of encoded values of a row.
        engine: "local", or "ray" for the tasks of a cluster.
        address: Address of the cluster; None for one that Ray finds or starts.
        tally: What counts candidates under conditions; None without.
    """
    parts = drawing.denoiser, drawing.sampler
    if drawing.labels is not None and drawing.sampler.rows_per_draw > 1 and tally is None:
        labels, places = whole_draws(drawing.labels, drawing.sampler)
        drawn = sample_rows(*parts, columns=width, n_rows=len(labels), seed=drawing.seed, labels=labels)
        yield drawn[places]
        return

    def stream(drawing: Drawing, first: int = 0) -> Iterator[np.ndarray]:
        asked: dict[str, Any] = {
            "columns": width + drawing.sampler.n_notes,
            "n_rows": drawing.n_rows,
            "seed": drawing.seed,
            "labels": drawing.labels,
            "prior": drawing.prior,
        }
        if engine == "ray":
            return stream_rows_on_ray(*parts, **asked, address=address, first_row=first)
        return stream_rows(*parts, **asked, first_row=first)

    yield from (
        stream(drawing) if tally is None else conditioned(stream, drawing, tally, rows_per_chunk(drawing.sampler))
    )
