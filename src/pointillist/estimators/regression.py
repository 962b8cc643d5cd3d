"""An ensemble of diffusion models of p(y | x) for a number y."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from rich.console import Console

from pointillist.arguments import RandomState, derived_seed
from pointillist.columns.grids import has_few_values
from pointillist.columns.scaling import AffineScaling
from pointillist.diffusion.target_diffusion import (
    PIECES,
    VIEWS,
    TargetDistribution,
    TargetFlow,
    TargetLogDensity,
    TargetLogMass,
    TargetObjective,
    guess_mask,
)
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE
from pointillist.engine.mapping import map_rows
from pointillist.engine.random_streams import HostStream, generator_of
from pointillist.engine.recipes import Method, Recipe, TargetArchitecture, Weights
from pointillist.engine.training import MAX_EPOCHS_PER_CALL, StackTrainer, held_out_loss
from pointillist.models.parameters import Checked, parameter
from pointillist.progress import Bar, shows_progress
from pointillist.queries.predictive import Predictive, normal_points

LOWEST_LOG_MASS = -700.0
"""Lowest log-mass of a value that training rows had, in nats."""

MANY, FEW_ROWS, MANY_ROWS = 5000, (6, 4000), (4, 10_000)
"""Default number of networks and of steps, for at most 5,000 rows and for more, which need longer training."""

NEARLY_EQUAL = 1.2
"""Relative difference of two losses that count as equal, times the root of the number of held-out rows."""

CALIBRATED = 1000
"""Number of rows from which distributions are not widened, because mixtures of networks are then calibrated."""

POINTS = 32
"""Number of points that represent the distribution of each network."""

STEPS_PER_CHECK = 200
"""Fewest training steps between two checks of the held-out rows."""

LARGEST = 5.0
"""Largest distance of y from its mean, in its units: predictions are clipped not far beyond."""

FARTHEST = 10.0
"""Number of standard deviations beyond which x is clipped."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RegressionConfig(Checked):
    """How an ensemble is trained."""

    # fmt: off
    width: int = parameter(128, "Number of units of a hidden layer.", low=1)
    depth: int = parameter(2, "Number of hidden blocks.", low=1)
    n_networks: int | None = parameter(
        None, "Number of networks, which are trained side by side.", low=1,
        unset=f"{FEW_ROWS[0]}; {MANY_ROWS[0]} of more than {MANY:,} rows",
        details="With trees, half of them may be left out.")
    steps: int | None = parameter(
        None, "Most training steps of each network.", low=1,
        unset=f"{FEW_ROWS[1]:,}; {MANY_ROWS[1]:,} of more than {MANY:,} rows")
    batch_size: int | None = parameter(
        None, "Number of rows in a step; all rows if there are fewer.", low=1,
        unset="an eighth of the rows, from 64 to 128")
    learning_rate: float = parameter(3e-3, "Adam's learning rate.", above=0)
    validation_fraction: float = parameter(
        0.1, "Fraction of the rows that a network does not see: at least one row, and different rows for each network.",
        low=0, below=1,
        details="Its weights are those with the lowest loss on these rows. With 0, they are the last ones, and the "
        "intervals of small tables are too narrow.")
    n_iter_no_change: int = parameter(
        8, "Number of checks without a lower loss on these rows after which training stops.", low=1,
        details="A check follows every 200 steps, or 64 epochs if they are fewer.")
    verbose: bool | int | None = parameter(
        None, "Whether `fit` shows a progress bar.", unset="yes in a terminal or notebook, no elsewhere")
    random_state: RandomState = parameter(None, "Seed of `fit`.")
    # fmt: on


@dataclass(frozen=True, eq=False)
class Units:
    """Standard units of x and y; a y with long tails is replaced by arsinh((y - middle) / bend) first.

    Attributes:
        x_mean: Mean of each column of x.
        x_scale: Standard deviation of each column of x; 1 if that is 0.
        quantiles: Quantiles that divide each column of x into pieces, including its minimum and maximum.
        y_mean: Mean of y, or of its arsinh.
        y_scale: Its standard deviation, or a fifth of the largest distance from the mean if that is larger.
        middle: Median of y.
        bend: Robust standard deviation of y, or the least distance between its values if that is 0 and y is discrete;
            0 for short tails.
    """

    x_mean: Float[np.ndarray, " k"]
    x_scale: Float[np.ndarray, " k"]
    quantiles: tuple[Float[np.ndarray, " _"], ...]
    y_mean: float
    y_scale: float
    middle: float = 0.0
    bend: float = 0.0

    @classmethod
    def fit(cls, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], *, is_discrete: bool) -> "Units":
        """Learn the units of x and y."""
        x_scale, mean, scale = _deviation(x), float(y.mean()), _scale(y)
        quantiles = tuple(np.unique(each) for each in np.quantile(x, np.linspace(0, 1, PIECES + 1), axis=0).T)
        x_units = x.mean(axis=0), np.where(x_scale > 0, x_scale, 1.0), quantiles
        if scale <= _deviation(y):
            return cls(*x_units, mean, scale or 1.0)
        low, middle, high = np.quantile(y, [0.25, 0.5, 0.75])
        # The quartiles of N(0, 1) are 1.349 apart.
        bend = float(high - low) / 1.349
        if bend == 0 and is_discrete:
            bend = float(np.diff(np.unique(y)).min())
        if bend == 0:
            return cls(*x_units, mean, scale)
        bent = np.arcsinh((y - middle) / bend)
        return cls(*x_units, float(bent.mean()), _scale(bent), float(middle), bend)

    def encode_x(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n 2*k"]:
        """Return x in standard units, and as positions among the quantiles."""
        pairs = zip(x.T, self.quantiles, strict=True)
        positions = [np.interp(column, edges, np.arange(len(edges))) for column, edges in pairs]
        return np.column_stack([self.standard(x), *positions])

    def standard(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """Return x in standard units, clipped."""
        return np.clip((x - self.x_mean) / self.x_scale, -FARTHEST, FARTHEST)

    def encode_y(self, y: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Convert y to standard units."""
        return ((np.arcsinh((y - self.middle) / self.bend) if self.bend else y) - self.y_mean) / self.y_scale

    def decode_y(self, standard: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Convert standard units to y."""
        y = self.y_mean + self.y_scale * standard
        return self.middle + self.bend * np.sinh(y) if self.bend else y

    def log_slope(self, y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the logarithm of d(standard units) / dy."""
        bent = np.log(np.hypot(self.bend, y - self.middle)) if self.bend else 0.0
        return -np.log(self.y_scale) - bent * np.ones(len(y))


@dataclass(frozen=True, eq=False)
class Regression:
    """A fitted ensemble; the predicted distribution is the mixture of its networks.

    Attributes:
        target: The distribution, in standard units.
        units: The units.
        values: The values of a discrete y, increasing; None for a continuous one.
        history: Held-out loss of each trained network at each check, shape (networks, checks).
    """

    target: TargetDistribution
    units: Units
    values: Float[np.ndarray, " values"] | None
    history: Float[np.ndarray, "networks checks"]

    def log_prob(self, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Compute log p(y | x) in nats: the log-density in the units of y, or the log-mass of a discrete y.

        The mass of a value is the probability between the midpoints to its neighbors; values that no training row had
        have mass 0.
        """
        inputs = self.units.encode_x(x)
        if self.values is None:
            rows = np.column_stack([inputs, self.units.encode_y(y)]).astype(np.float32)
            return map_rows(TargetLogDensity(self.target), rows).astype(np.float64) + self.units.log_slope(y)
        found = np.minimum(np.searchsorted(self.values, y), len(self.values) - 1)
        midpoints = (self.values[1:] + self.values[:-1]) / 2
        ends = np.stack([np.append(-np.inf, midpoints)[found], np.append(midpoints, np.inf)[found]], axis=1)
        rows = np.column_stack([inputs, self.units.encode_y(ends)]).astype(np.float32)
        log_mass = np.maximum(map_rows(TargetLogMass(self.target), rows).astype(np.float64), LOWEST_LOG_MASS)
        return np.where(self.values[found] == y, log_mass, -np.inf)

    def points(self, x: Float[np.ndarray, "n k"]) -> Predictive:
        """Represent the distribution of each row by interleaving points, `POINTS` of each network."""
        found, weights = self._weighted_points(x)
        values = self.units.decode_y(found.reshape(len(x), -1))
        is_atom = np.full(values.shape[1], self.values is not None)
        return Predictive(self._nearest_value(values), np.tile(weights.ravel(), (len(x), 1)), is_atom)

    def sample(
        self, x: Float[np.ndarray, "n k"], n_draws: int, generator: np.random.Generator
    ) -> Float[np.ndarray, "n draws"]:
        """Draw y for each row: a random network maps a draw from N(0, 1)."""
        # Two generators, so that the first rows get the same draws for any number of rows.
        normal, choice = generator.spawn(2)
        starts = normal.normal(size=(len(x), 1, n_draws))
        found = self.units.decode_y(self._flowed(x, np.repeat(starts, self.target.n_networks, axis=1)))
        chosen = choice.integers(self.target.n_networks, size=(len(x), 1, n_draws))
        return self._nearest_value(np.take_along_axis(found, chosen, axis=1)[:, 0])

    def calibrated(
        self, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], held: list[Int[np.ndarray, " v"]]
    ) -> "Regression":
        """Widen the distributions until held-out rows lie no further from their means than predicted, on average.

        `held` has the indices of the rows that each network did not see; these networks predict them. Distances are
        absolute, because one outlier would dominate squares. Distributions never become narrower, because a few rows
        with wide distributions would narrow all.
        """
        rows = np.unique(np.concatenate(held))
        points, weights = self._weighted_points(x[rows])
        is_held = np.stack([np.isin(rows, indices) for indices in held], axis=1)
        weights = is_held[:, :, None] * weights
        weights /= weights.sum(axis=(1, 2), keepdims=True)
        mean = (weights * points).sum(axis=(1, 2))
        predicted = (weights * np.abs(points - mean[:, None, None])).sum(axis=(1, 2)).mean()
        found = np.abs(self.units.encode_y(y[rows]) - mean).mean()
        scale = np.asarray(max(found / predicted, 1), np.float32)
        return replace(self, target=replace(self.target, scale=scale))

    def _weighted_points(
        self, x: Float[np.ndarray, "n k"]
    ) -> tuple[Float[np.ndarray, "n networks points"], Float[np.ndarray, "networks points"]]:
        """Return points of each network in standard units, and their weights, which sum to 1."""
        n = self.target.n_networks
        starts, weights = np.stack([normal_points(POINTS, i, n) for i in range(n)], axis=1)
        return self._flowed(x, np.tile(starts, (len(x), 1, 1))), weights / n

    def _flowed(
        self, x: np.ndarray, starts: Float[np.ndarray, "n networks starts"]
    ) -> Float[np.ndarray, "n networks starts"]:
        rows = np.column_stack([self.units.encode_x(x), starts.reshape(len(x), -1)])
        return map_rows(TargetFlow(self.target), rows.astype(np.float32)).astype(np.float64)

    def _nearest_value(self, y: np.ndarray) -> np.ndarray:
        values = self.values
        return y if values is None else values[np.searchsorted((values[1:] + values[:-1]) / 2, y)]


def fit_regression(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], config: RegressionConfig, seed: int, n_guesses: int = 0
) -> Regression:
    """Fit an ensemble to rows x and numbers y; the seed is 0 … 2³² - 1. A ValueError says if training diverges.

    The last `n_guesses` columns of x are other models' predictions of y, which every second network sees. The networks
    that see them are kept if their mean loss on held-out rows is lower, and the others otherwise; all are kept if these
    losses are nearly equal, or no rows are held out.
    """
    n_networks, steps = MANY_ROWS if len(y) > MANY else FEW_ROWS
    n_networks, steps = config.n_networks or n_networks, config.steps or steps
    distinct = np.unique(y)
    is_discrete = has_few_values(distinct, len(y))
    n_held = min(max(round(config.validation_fraction * len(y)), config.validation_fraction > 0), len(y) - 1)
    # Each pair of networks shares its held-out rows: consecutive rows of a random order.
    pairs = np.arange(n_networks) // (2 if n_guesses else 1)
    order = generator_of(seed, HostStream.HELD_OUT_ROWS).permutation(len(y))
    held = [np.sort(order[(np.arange(n_held) + i * n_held) % len(y)]) for i in pairs]
    units = Units.fit(x, y, is_discrete=is_discrete)
    rows = np.column_stack([units.encode_y(y), units.encode_x(x)]).astype(np.float32)
    sees_guesses = (np.arange(n_networks) % 2 == 1) & (n_guesses > 0)
    views = np.array(VIEWS, np.float32)[pairs % len(VIEWS)]
    hidden = np.concatenate([[False], guess_mask(x.shape[1], n_guesses)])
    data = [
        np.column_stack([np.where(hidden & ~sees, 0, rows), np.tile(view, (len(rows), 1))])
        for sees, view in zip(sees_guesses, views, strict=True)
    ]
    with Bar(Console(stderr=True), steps, is_shown=shows_progress(config.verbose)) as bar:
        bar.say("training")
        networks, history = _trained(data, held, steps, config, seed, bar.advance)
    kept = np.flatnonzero(_is_kept(history, sees_guesses, n_held))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(networks[i] for i in kept))
    target = TargetDistribution(stacked, views[kept], sees_guesses[kept], x.shape[1], n_guesses)
    model = Regression(target, units, distinct if is_discrete else None, history)
    return model.calibrated(x, y, [held[i] for i in kept]) if n_held and len(y) < CALIBRATED else model


def _is_kept(
    history: Float[np.ndarray, "networks checks"], sees: Bool[np.ndarray, " networks"], n_held: int
) -> Bool[np.ndarray, " networks"]:
    """Return which networks to keep: those that see guesses, or the others, or all if their losses are nearly equal."""
    if not sees.any() or not history.shape[1]:
        return np.ones(len(sees), bool)
    pairs = history.min(axis=1)[: 2 * sees.sum()].reshape(-1, 2)
    without, with_guesses = pairs.mean(axis=0)
    if abs(with_guesses / without - 1) < NEARLY_EQUAL / (sees.sum() * n_held) ** 0.5:
        return np.ones(len(sees), bool)
    return sees == (with_guesses < without)


def _scale(y: Float[np.ndarray, " n"]) -> float:
    """Return the standard deviation, or a fifth of the largest distance from the mean if that is larger."""
    return max(float(_deviation(y)), float(np.abs(y - y.mean()).max()) / LARGEST)


def _deviation(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*k"]:
    """Return the standard deviation of each column; squares neither overflow nor underflow."""
    return AffineScaling.standard(values.reshape(len(values), -1)).unit.reshape(values.shape[1:])


def _trained(
    rows: list[Float[np.ndarray, "n columns"]],
    held: list[Int[np.ndarray, " v"]],
    steps: int,
    config: RegressionConfig,
    seed: int,
    advance: Callable[[float], None],
) -> tuple[list[Weights], Float[np.ndarray, "networks checks"]]:
    """Train networks side by side, each on the rows that are not held out; return the best weights and all losses."""
    n = len(rows[0]) - len(held[0])
    batch_size = min(config.batch_size or int(np.clip(n // 8, 64, 128)), n)
    per_epoch = n // batch_size
    epochs = max(1, steps // per_epoch)
    architecture = TargetArchitecture((rows[0].shape[1] - 3) // 2, config.width, config.depth)
    objective = TargetObjective()
    recipes = [
        Recipe(
            dataset=i,
            schedule=SCHEDULE,
            # Ensembles with neighboring seeds must not share networks.
            seed=derived_seed(seed, i),
            epochs=epochs,
            learning_rate=config.learning_rate,
            warmup=min(200, epochs * per_epoch // 10),
            decay=True,
            averaging=0.995,
        )
        for i in range(len(rows))
    ]
    pairs = list(zip(rows, held, strict=True))
    data, unseen = np.stack([np.delete(*pair, axis=0) for pair in pairs]), [each[indices] for each, indices in pairs]
    sigma_data = np.ones((len(data), data.shape[2]), np.float32)
    method = Method(objective, batch_size, is_averaged=True)
    trainer = StackTrainer(data, recipes, architecture, method, sigma_data=sigma_data)
    every = min(-(-STEPS_PER_CHECK // per_epoch), MAX_EPOCHS_PER_CALL)
    best, losses = trainer.networks(), np.empty((len(rows), 0))
    while not trainer.is_done:
        trained = trainer.run(every)
        advance(len(trained[0]) * per_epoch)
        if not all(np.isfinite(part).all() for part in trained):
            raise ValueError(f"training diverged with learning_rate={config.learning_rate:g}: lower it")
        networks = trainer.networks()
        if not len(held[0]):
            best = networks
            continue
        asked = architecture, objective, SCHEDULE, sigma_data[0]
        found = np.array(
            [held_out_loss(network, *asked, each, None, seed) for network, each in zip(networks, unseen, strict=True)]
        )
        is_better = found < losses.min(axis=1, initial=np.inf)
        best = [new if better else old for new, old, better in zip(networks, best, is_better, strict=True)]
        losses = np.column_stack([losses, found])
        if (losses.shape[1] - 1 - losses.argmin(axis=1) >= config.n_iter_no_change).all():
            break
    return best, losses
