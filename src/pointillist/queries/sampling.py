"""Draws rows from a model: turns a request into a stream of encoded rows, and decodes them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.generating import GeneratedRows
from pointillist.engine.sampling import (
    BY_DEFAULT,
    Division,
    rows_per_chunk,
    sample_rows,
    stream_rows,
    stream_rows_on_ray,
    whole_draws,
)
from pointillist.models.conditioning import Acceptance, conditioned
from pointillist.models.process import Learned, SamplingPlan
from pointillist.models.request import Request, check_drawn
from pointillist.queries.consistency import Obeying, consistent
from pointillist.queries.shares import with_shares


class SamplingRun:
    """A checked request for rows.

    Args:
        model: The model.
        request: The request.

    Attributes:
        effective_sample_size: Number of independent rows that carry as much information as the rows drawn under ranges,
            sets and `present`; None without these conditions. It is below the number of rows if rows share ancestors.

    Raises:
        ValueError: In one line, if the model cannot fulfil the request.
    """

    def __init__(self, model: Learned, request: Request) -> None:
        generated = model.generated
        for name in (*(request.where or {}), *(request.shares or {})):
            if generated is not None and name in generated.names:
                raise ValueError(f"column {name!r} is generated rather than learned: leave it out of the conditions")
        if generated is None and (request.start or request.exclude is not None):
            raise ValueError("the model generates no keys: leave start and exclude out")

        def drawn(request: Request) -> Float[np.ndarray, "n width"]:
            return np.concatenate([*streamed(model.process.plan_sampling(model, request), model.codec.width)])

        request = with_shares(model, request, drawn)
        self._model = model
        self._has_reward = request.reward is not None
        self._classes = model.classes if request.return_labels else None
        self._plan = model.process.plan_sampling(model, request)
        self.n_rows = self._plan.n_rows
        self._acceptance: Acceptance | None = None
        self._obeying: Obeying | None = None
        self._generated = None
        if generated is not None:
            self._generated = GeneratedRows(generated, self.n_rows, request.start, request.exclude, self._plan.seed)

    @property
    def effective_sample_size(self) -> float | None:
        """Effective sample size of the rows drawn so far; None without conditions."""
        return None if self._acceptance is None else self._acceptance.effective_size

    @property
    def progress_text(self) -> str:
        """What a progress bar says: with the fraction of the drawn rows that obey declared rules, if it is below 1."""
        counts = self._obeying
        if counts is None or counts.n_kept == counts.n_drawn:
            return "sampling"
        return f"sampling; {counts.n_kept / counts.n_drawn:.1%} of the drawn rows obey the rules"

    def parts(self, engine: str = "local", address: str | None = None) -> Iterator[tuple[Any, np.ndarray | None]]:
        """Yields decoded rows in order, as they are computed, with their labels if requested.

        Args:
            engine: "local", or "ray" for tasks on a cluster.
            address: Address of a Ray cluster, for "ray"; None for a cluster on this machine.
        """
        plan, model, codec = self._plan, self._model, self._model.codec
        self._acceptance = Acceptance(plan.conditions) if plan.sampler.n_diagnostics else None

        def stream(
            plan: SamplingPlan, acceptance: Acceptance | None = None, division: Division = BY_DEFAULT
        ) -> Iterator[np.ndarray]:
            for drawn in streamed(plan, codec.width, engine, address, acceptance, division):
                check_drawn(drawn, has_reward=self._has_reward)
                yield drawn

        drawn_rows = stream(plan, self._acceptance)
        if codec.has_declared_rules and not plan.varies_by_row:
            # Few rows break a rule, so few others are drawn at a time.
            self._obeying = Obeying(partial(stream, division=Division(chunks_per_call=1)), plan, codec)
            parts = self._obeying.rows(drawn_rows)
        else:
            parts = consistent(drawn_rows, stream, plan, codec)
        first = 0
        for drawn, cells in parts:
            rows, labels = slice(first, first + len(drawn)), None
            first = rows.stop
            if self._classes is not None:
                labels = self._classes.labels[model.process.label_indices(model, plan, drawn, rows)]
            yield codec.assembled(cells), labels

    def rows(
        self, progress: Callable[[int], None] = lambda n: None, engine: str = "local", address: str | None = None
    ) -> tuple[Any, np.ndarray | None]:
        """Returns all rows at once, with their labels; calls `progress` with the number of new rows.

        See `parts` for the engines.
        """
        parts, labels = [], []
        for part, part_labels in self.parts(engine, address):
            parts.append(part)
            labels.append(part_labels)
            progress(len(part))
        joined, classes = self._model.codec.joined(parts), self._classes
        return joined, None if classes is None else np.concatenate([classes.labels[:0], *labels])

    def with_generated(self, rows: Any) -> Any:
        """Adds the generated columns to the next decoded rows; takes the parts of `parts` in order, or all rows."""
        return rows if self._generated is None else self._generated.added(self._model.codec.layout.columns(rows))


def streamed(
    plan: SamplingPlan,
    width: int,
    engine: str = "local",
    address: str | None = None,
    acceptance: Acceptance | None = None,
    division: Division = BY_DEFAULT,
) -> Iterator[Float[np.ndarray, "m width"]]:
    """Yields encoded rows, of `width` values, as they are drawn; see `SamplingRun.parts` for the engines.

    Under conditions, `acceptance` counts the candidates. `division` is for this machine.
    """
    sampler, has_conditions = plan.sampler, plan.sampler.n_diagnostics > 0
    if plan.labels is not None and sampler.rows_per_draw > 1 and not has_conditions:
        labels, indices = whole_draws(plan.labels, sampler)
        n, seed = len(labels), plan.seed
        yield sample_rows(plan.denoiser, sampler, columns=width, n_rows=n, seed=seed, labels=labels)[indices]
        return

    draw = partial(stream_rows_on_ray, address=address) if engine == "ray" else partial(stream_rows, division=division)

    def stream(plan: SamplingPlan, first: int = 0) -> Iterator[np.ndarray]:
        return draw(
            plan.denoiser,
            sampler,
            columns=width + sampler.n_diagnostics,
            n_rows=plan.n_rows,
            seed=plan.seed,
            labels=plan.labels,
            prior=plan.prior,
            first_row=first,
        )

    if not has_conditions:
        return (yield from stream(plan))
    yield from conditioned(stream, plan, acceptance or Acceptance(plan.conditions), rows_per_chunk(sampler))
