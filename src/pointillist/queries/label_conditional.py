"""`LabelConditional`: the distribution of the labels of a Gaussian model given its columns."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import RandomState, check_integer, seed_of
from pointillist.diffusion.classification import ClassElbos, posterior
from pointillist.engine.mapping import map_rows
from pointillist.engine.random_streams import HostStream, generator_of
from pointillist.models.gaussian import gaussian_of
from pointillist.models.process import Learned
from pointillist.queries.conditional import Conditional, LogProbability, ObservedRows, check_present
from pointillist.queries.predictive import NormalPoints, Predictive
from pointillist.tables.frames import aligned, table_of, with_columns


class LabelConditional(Conditional):
    """The distribution of the labels of a Gaussian model; see `Conditional`.

    p(y | x) ∝ p(y) p(x | y), with lower bounds of log p(x | y) up to a constant, like the default of
    `DiffusionClassifier`.
    """

    def _prepare(self) -> None:
        classes, process = self._model.classes, gaussian_of(self._model, "labels are")
        assert classes is not None
        if len(self.targets) > 1:
            raise ValueError(
                "labels of a Gaussian model cannot be predicted together with columns: give one or the other"
            )
        if self._labels is not None:
            raise ValueError(f"target {self.targets[0]!r} is also in labels: leave labels out")
        process.check_noise_levels("conditional")
        self._label_classes = classes
        denoiser: Any = process.denoiser(self._model.network)
        self._bounds = ClassElbos(denoiser, len(classes))
        self._categorical = self._discrete = list(self.targets)
        # Labels are no values of encoded rows.
        self._encoders = {}
        self._has_token_probabilities = True

    def sample(self, X: Any, n_draws: int = 1, *, random_state: RandomState = None) -> np.ndarray:
        check_integer("n_draws", n_draws)
        p = self.predict_proba(X)
        rng = generator_of(seed_of(random_state), HostStream.PREDICTED_LABELS)
        uniform = rng.random((len(p), n_draws))
        indices = (uniform[:, :, None] > np.cumsum(p, axis=1)[:, None, :-1]).sum(axis=2)
        return self._typed(self.targets[0], indices, is_rounded=False)

    def _classes(self) -> np.ndarray:
        return self._label_classes.labels

    def _encode(self, X: Any) -> ObservedRows:
        codec = self._model.codec
        table = aligned(X, codec.layout)
        observed = codec.encode_table(table)
        is_complete = ~np.any([cells.is_missing for cells in table.cells], axis=0)
        # Do not clip to the range of the training rows, as observed values are.
        observed[is_complete] = codec.encode(np.stack([cells.numbers for cells in table.cells], axis=1)[is_complete])
        return observed, np.ones(len(observed), bool)

    def _encode_with_targets(self, X: Any) -> tuple[ObservedRows, LogProbability]:
        (name,) = self.targets
        observed, found = self._encode(X), table_of(with_columns(X, [name]))
        if found is None or found[1] == "array" or name not in found[0].names:
            raise ValueError(f"X has no column {name!r}: log_prob needs its values")
        # A column without any value has the type null, whose cells cannot be read.
        check_present(name, found[0].arrow.column(found[0].names.index(name)).is_null(nan_is_null=True).to_numpy())
        indices = self._label_classes.indices(self._label_classes.labels_in(found[0].column(name)))

        def log_mass(observed: np.ndarray, rows: np.ndarray) -> np.ndarray:
            with np.errstate(divide="ignore"):
                return np.log(self._probabilities(observed)[np.arange(len(observed)), indices[rows]])

        return observed, log_mass

    def _distribution(self, observed: Float[np.ndarray, "n k"], points: NormalPoints) -> Predictive:
        n_classes = len(self._label_classes)
        values = np.tile(np.arange(n_classes, dtype=float), (len(observed), 1))
        return Predictive(values, self._probabilities(observed), np.ones(n_classes, bool))

    def _probabilities(self, observed: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n classes"]:
        """p(y | x) of rows; the mean over draws of missing cells where there are some."""
        found = np.empty((len(observed), len(self._label_classes)))
        for rows, draws in self._draws(observed, ~np.isnan(observed).any(axis=1), 1):
            bounds = map_rows(self._bounds, draws.reshape(-1, draws.shape[2]).astype(np.float32))
            probabilities = posterior(bounds, self._label_classes.counts)
            found[rows] = probabilities.reshape(*draws.shape[:2], -1).mean(axis=0)
        return found

    def _typed(self, name: Any, values: np.ndarray, *, is_rounded: bool) -> np.ndarray:
        labels = self._label_classes.labels
        return labels.astype(object if labels.dtype.kind == "U" else labels.dtype)[values.astype(np.int64)]


def conditional_of(model: Learned, target: Any, labels: Any = None) -> Conditional:
    """Returns the distribution of one or several columns given the others; see `Conditional` for the arguments.

    A ValueError in one line says if a column does not exist, or the model cannot condition on cells.
    """
    if hasattr(target, "tolist"):
        target = target.tolist()
    label_name = None if model.classes is None else model.classes.label_name(model.codec.names or ())
    is_label = label_name is not None and label_name in (target if isinstance(target, list) else [target])
    kind = LabelConditional if is_label and not model.process.has_label_token else Conditional
    return kind(model, target, labels)
