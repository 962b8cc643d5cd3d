"""Training many small models side by side: stacked, compiled, sharded over devices.

Every device walks its own models one after another, each for some epochs: one model's weights and optimiser state
then stay in the core's cache. A model sees neither the other models nor the number of devices: its weights are the
same to the last bit whether it is trained alone or in a stack, in one go or with stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from pointillist.diffusion import schedules
from pointillist.diffusion.denoisers import Bounds, ConditionalNetworkDenoiser, Denoiser, NetworkDenoiser
from pointillist.diffusion.losses import Objective, denoising_loss
from pointillist.diffusion.networks import NETWORKS, Network, sinusoidal_embedding
from pointillist.diffusion.schedules import Schedule
from pointillist.engine import devices as engine_devices

MAX_EPOCHS_PER_CALL = 64
"""A device call trains a model for at most so many epochs; the length of its table of losses."""

_OPTIMISER = optax.scale_by_adam()
_AXIS = "models"


@dataclass(frozen=True)
class Architecture:
    """The network of every model in a stack.

    Attributes:
        network: One of `networks.NETWORKS`.
        width: Units of a hidden layer.
        depth: Number of hidden blocks.
        time_embedding: Number of features of the noise level, even.
        class_embedding: Width of the embedding of the class, even; 0 for models of data without classes.
    """

    network: str = "mlp"
    width: int = 128
    depth: int = 5
    time_embedding: int = 16
    class_embedding: int = 0

    def build(self, key: PRNGKeyArray, columns: int) -> Network:
        """A fresh network for rows of `columns` columns."""
        features = self.time_embedding + self.class_embedding
        return NETWORKS[self.network](key, columns=columns, features=features, width=self.width, depth=self.depth)

    def features(self, t: Array, lambda_t: Float[Array, " m"], labels: Int[Array, " m"] | None) -> Float[Array, "m f"]:
        """What the network is conditioned on: features of the noise level and, with classes, the class's beside them.

        Args:
            t: Times, shape (m,).
            lambda_t: log(alpha_t / sigma_t).
            labels: Indices of classes, shape (m,).
        """
        of_level = NETWORKS[self.network].of_noise_level(t, lambda_t, self.time_embedding)
        if labels is None:
            return of_level
        return jnp.concatenate([of_level, sinusoidal_embedding(labels, self.class_embedding)], axis=-1)

    def denoiser(
        self,
        network: Network,
        prediction: str,
        spread: Float[np.ndarray, " d"],
        schedule: Schedule,
        n_classes: int,
        bounds: Bounds | None = None,
    ) -> Denoiser:
        """The network as a denoiser; `n_classes` counts only with an embedding of the class."""
        spread = np.asarray(spread, np.float32)
        if not self.class_embedding:
            return NetworkDenoiser(
                network=network, schedule=schedule, spread=spread, prediction=prediction, bounds=bounds
            )
        return ConditionalNetworkDenoiser(
            network=network,
            schedule=schedule,
            n_classes=np.asarray(n_classes, np.int32),
            time_embedding=self.time_embedding,
            spread=spread,
            prediction=prediction,
            bounds=bounds,
        )


@dataclass(frozen=True)
class Method:
    """How every model of a stack is trained; compiled into the program.

    Attributes:
        objective: What is minimised.
        batch_size: Rows a step.
        is_averaged: Whether an average of the weights is kept, and is the network that training ends with.
    """

    objective: Objective = field(default_factory=Objective)
    batch_size: int = 64
    is_averaged: bool = False


@dataclass(frozen=True)
class Recipe:
    """What may differ between the models of a stack.

    Attributes:
        dataset: Index of the model's data set in the stack's data.
        schedule: Its noise schedule.
        seed: 0 … 2³² - 1; decides the initial weights, the order of rows, times and noise.
        epochs: Passes over the data, at least 1.
        learning_rate: Adam's, positive.
        warmup: Steps over which the learning rate goes up from 0.
        decay: Whether it goes down to 0 over the epochs, as half a cosine.
        averaging: In [0, 1): the share of itself that the average of the weights keeps in a step, if one is kept;
            less in the first steps, (i + 1) / (i + 10) after i of them.
        n_classes: Number of classes; it stands for "no class" as a label.
        p_uncond: Share of rows, drawn anew each epoch, that are shown with "no class" in place of their label
            (Ho & Salimans 2022, arXiv 2207.12598, algorithm 1).
    """

    dataset: int
    schedule: Schedule
    seed: int
    epochs: int = 100
    learning_rate: float = 1e-3
    warmup: int = 0
    decay: bool = False
    averaging: float = 0.0
    n_classes: int = 0
    p_uncond: float = 0.0


class TrainingState(eqx.Module):
    """One model in training, or a stack of them; a pytree of arrays.

    Attributes:
        network: The weights that steps change.
        optimiser: Adam's moments.
        epoch: Epochs done.
        average: The weights' average, where one is kept.
    """

    network: Network
    optimiser: optax.OptState
    epoch: Int[Array, "*stack"]
    average: Network | None = None

    @property
    def trained(self) -> Network:
        """The network to use."""
        return self.network if self.average is None else self.average

    def starting_from(self, network: Network) -> "TrainingState":
        """The same state with other weights."""
        if self.average is None:
            return eqx.tree_at(lambda state: state.network, self, network)
        return eqx.tree_at(lambda state: (state.network, state.average), self, (network, network))


class _Fixed(eqx.Module):
    """What a model's training reads and does not change."""

    key: Key[Array, "*stack"]
    dataset: Int[Array, "*stack"]
    schedule: Schedule
    epochs: Int[Array, "*stack"]
    learning_rate: Float[Array, "*stack"]
    warmup: Float[Array, "*stack"]
    decay: Float[Array, "*stack"]
    averaging: Float[Array, "*stack"]
    n_classes: Int[Array, "*stack"]
    p_uncond: Float[Array, "*stack"]


class _Data(eqx.Module):
    """Data sets of one shape, their columns' root mean squares, and their labels if the models have classes."""

    rows: Float[Array, "sets n d"]
    spread: Float[Array, "sets d"]
    labels: Int[Array, "sets n"] | None


def spread_of(rows: Float[np.ndarray, "*sets n d"]) -> Float[np.ndarray, "*sets d"]:
    """Root mean square of each column, float32; 1 where that is 0."""
    squares = np.mean(np.asarray(rows, np.float64) ** 2, axis=-2)
    return np.sqrt(np.where(squares > 0, squares, 1.0)).astype(np.float32)


def training_key(seed: int) -> PRNGKeyArray:
    """The key of a model's training; `sampling` folds other numbers into the same seed."""
    return jax.random.fold_in(jax.random.key(seed), 0)


class StackTrainer:
    """Trains a stack of models; its state can be read and set at any epoch.

    Args:
        data: Shape (number of data sets, n, d), float32: data sets of one shape.
        recipes: One per model.
        architecture: The network.
        method: How it is trained. An epoch is n // batch_size steps over rows in a new random order; the rows that
            remain are left out of that epoch.
        labels: Shape (number of data sets, n), indices of classes; needed with an embedding of the class.
        spread: Root mean square of each column, shape (number of data sets, d); that of `data` by default.
        devices: All by default.
        capacity: Models that the compiled program has room for, at least as many as there are; stacks of one capacity
            share a program.
    """

    def __init__(
        self,
        data: Float[np.ndarray, "sets n d"],
        recipes: Sequence[Recipe],
        architecture: Architecture,
        method: Method,
        labels: Int[np.ndarray, "sets n"] | None = None,
        spread: Float[np.ndarray, "sets d"] | None = None,
        devices: Sequence[jax.Device] | None = None,
        capacity: int | None = None,
    ) -> None:
        if (labels is None) != (architecture.class_embedding == 0):
            raise ValueError("labels and an embedding of the class need each other")
        if not 1 <= method.batch_size <= data.shape[1]:
            raise ValueError(
                f"batch_size must be between 1 and the number of rows, {data.shape[1]}; it is {method.batch_size}"
            )
        self.recipes = tuple(recipes)
        self._mesh = engine_devices.mesh(_AXIS, devices)
        n_devices = self._mesh.size
        # Places without a model of their own hold copies of the last, which no loop reaches.
        self._per_device = -(-max(capacity or 0, len(recipes)) // n_devices)
        in_turn = [device * self._per_device + i for i in range(self._per_device) for device in range(n_devices)]
        self._slots = in_turn[: len(recipes)]
        self._counts = np.bincount([slot // self._per_device for slot in self._slots], minlength=n_devices)
        self._architecture, self._method = architecture, method
        self._spread = spread_of(data) if spread is None else spread
        self.feed(data, labels)
        in_place = [self.recipes[-1]] * (self._per_device * n_devices)
        for slot, recipe in zip(self._slots, self.recipes, strict=True):
            in_place[slot] = recipe
        self._fixed = self._sharded(
            _Fixed(
                key=jnp.stack([training_key(r.seed) for r in in_place]),
                dataset=jnp.asarray([r.dataset for r in in_place], jnp.int32),
                schedule=schedules.stack([r.schedule for r in in_place]),
                epochs=jnp.asarray([r.epochs for r in in_place], jnp.int32),
                learning_rate=jnp.asarray([r.learning_rate for r in in_place], jnp.float32),
                warmup=jnp.asarray([r.warmup for r in in_place], jnp.float32),
                decay=jnp.asarray([r.decay for r in in_place], jnp.float32),
                averaging=jnp.asarray([r.averaging for r in in_place], jnp.float32),
                n_classes=jnp.asarray([r.n_classes for r in in_place], jnp.int32),
                p_uncond=jnp.asarray([r.p_uncond for r in in_place], jnp.float32),
            )
        )
        self._state = self._sharded(_initial(self._fixed.key, architecture, method, data.shape[2]))

    def _sharded(self, tree: Any) -> Any:
        return jax.device_put(tree, NamedSharding(self._mesh, P(_AXIS)))

    def feed(self, data: Float[np.ndarray, "sets n d"], labels: Int[np.ndarray, "sets n"] | None) -> None:
        """Trains on other rows from now on, of the shape of the first ones."""
        everything = _Data(
            rows=jnp.asarray(data, jnp.float32),
            spread=jnp.asarray(self._spread, jnp.float32),
            labels=None if labels is None else jnp.asarray(labels, jnp.int32),
        )
        self._data = jax.device_put(everything, NamedSharding(self._mesh, P()))

    @property
    def epochs_done(self) -> list[int]:
        """Epochs behind each model."""
        return np.asarray(self._state.epoch)[self._slots].tolist()

    @property
    def is_done(self) -> bool:
        """Whether every model has had all its epochs."""
        return all(done >= r.epochs for done, r in zip(self.epochs_done, self.recipes, strict=True))

    def run(self, epochs: int) -> list[Float[np.ndarray, " done"]]:
        """Trains every model for at most `epochs` more epochs, or to its last.

        Args:
            epochs: 1 … `MAX_EPOCHS_PER_CALL`.

        Returns:
            Per model, the mean loss of each epoch that this call trained.
        """
        before = self.epochs_done
        self._state, losses = _run(
            self._state,
            self._fixed,
            jnp.asarray(self._counts, jnp.int32),
            jnp.asarray(min(epochs, MAX_EPOCHS_PER_CALL), jnp.int32),
            self._data,
            architecture=self._architecture,
            method=self._method,
            mesh=self._mesh,
        )
        losses = np.asarray(losses)[self._slots]
        return [row[: after - b] for row, b, after in zip(losses, before, self.epochs_done, strict=True)]

    def networks(self) -> list[Network]:
        """Each model's network, the averaged one where there is one, as NumPy arrays."""
        return [state.trained for state in self.states()]

    def states(self) -> list[TrainingState]:
        """Each model's state, as NumPy arrays: what `restore` takes."""
        host = jax.device_get(self._state)
        return [jax.tree.map(lambda leaf, slot=slot: leaf[slot], host) for slot in self._slots]

    def restore(self, states: Sequence[TrainingState | None]) -> None:
        """Sets the state of the models whose entry is not None."""
        host = jax.tree.map(np.array, jax.device_get(self._state))
        for slot, state in zip(self._slots, states, strict=True):
            if state is not None:
                jax.tree.map(lambda leaf, value, slot=slot: leaf.__setitem__(slot, value), host, state)
        self._state = self._sharded(host)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _initial(keys: Key[Array, " stack"], architecture: Architecture, method: Method, columns: int) -> TrainingState:
    def one(key: PRNGKeyArray) -> TrainingState:
        network = architecture.build(jax.random.fold_in(key, 0), columns)
        average = network if method.is_averaged else None
        return TrainingState(network, _OPTIMISER.init(network), jnp.zeros((), jnp.int32), average)

    # A loop and not vmap: the bits of a model's first weights must not depend on the stack.
    return jax.lax.map(one, keys)


@partial(jax.jit, static_argnames=("architecture", "method", "mesh"), donate_argnums=0)
def _run(
    states: TrainingState,
    fixed: _Fixed,
    counts: Int[Array, " devices"],
    epochs: Int[Array, ""],
    data: _Data,
    *,
    architecture: Architecture,
    method: Method,
    mesh: jax.sharding.Mesh,
) -> tuple[TrainingState, Float[Array, "models epochs"]]:
    def on_device(
        states: TrainingState, fixed: _Fixed, count: Array, epochs: Array, data: _Data
    ) -> tuple[TrainingState, Array]:
        def train_one(i: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
            states, losses = carry
            state, own_losses = _train(_pick(states, i), _pick(fixed, i), epochs, data, architecture, method)
            states = jax.tree.map(lambda all_, one: all_.at[i].set(one), states, state)
            return states, losses.at[i].set(own_losses)

        # The bound is traced, so that a stack of one compiles to the same loop as a stack of many.
        return jax.lax.fori_loop(0, count[0], train_one, (states, jnp.zeros((len(fixed.epochs), MAX_EPOCHS_PER_CALL))))

    by_model = P(_AXIS)
    return jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(by_model, by_model, by_model, P(), P()),
        out_specs=by_model,
        check_vma=False,
    )(states, fixed, counts, epochs, data)


def _pick(tree: Any, i: Array) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, keepdims=False), tree)


def _train(
    state: TrainingState, fixed: _Fixed, epochs: Array, data: _Data, architecture: Architecture, method: Method
) -> tuple[TrainingState, Float[Array, " epochs"]]:
    own = _pick(data, fixed.dataset)
    start = state.epoch

    def one_epoch(i: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
        state, losses = carry
        state, loss = _epoch(state, fixed, own, architecture, method)
        return state, losses.at[i].set(loss)

    n_epochs = jnp.minimum(epochs, fixed.epochs - start)
    return jax.lax.fori_loop(0, n_epochs, one_epoch, (state, jnp.zeros(MAX_EPOCHS_PER_CALL)))


def _epoch(
    state: TrainingState, fixed: _Fixed, data: _Data, architecture: Architecture, method: Method
) -> tuple[TrainingState, Float[Array, ""]]:
    n, d = data.rows.shape
    steps = n // method.batch_size
    epoch_key = jax.random.fold_in(fixed.key, state.epoch + 1)
    order_key, level_key, noise_key, label_key = (jax.random.fold_in(epoch_key, i) for i in range(4))
    # One epoch's rows and noise are drawn at once: a step is then nothing but the network.
    order = jax.random.permutation(order_key, n)[: steps * method.batch_size]
    share, eps = _noise(level_key, noise_key, steps, method, d)
    noised = method.objective.noised(data.rows[order], eps, share, fixed.schedule, data.spread)
    labels = None
    if data.labels is not None:
        is_dropped = jax.random.bernoulli(label_key, fixed.p_uncond, share.shape)
        labels = jnp.where(is_dropped, fixed.n_classes, data.labels[order])
    features = architecture.features(noised.t, noised.lambda_t, labels)
    examples = noised.inside, features, noised.target, noised.weight
    batches = jax.tree.map(lambda a: a.reshape(steps, method.batch_size, -1), examples)
    first = state.epoch.astype(jnp.float32) * steps

    def step(state: TrainingState, numbered: tuple[Array, tuple[Array, ...]]) -> tuple[TrainingState, Array]:
        i, batch = first + numbered[0], numbered[1]
        loss, gradient = jax.value_and_grad(denoising_loss)(state.network, *batch)
        update, optimiser = _OPTIMISER.update(gradient, state.optimiser)
        learning_rate = _learning_rate(fixed, i, steps)
        network = jax.tree.map(lambda w, u: w - learning_rate * u, state.network, update)
        average = None
        if state.average is not None:
            kept = jnp.minimum(fixed.averaging, (i + 1) / (i + 10))
            average = jax.tree.map(lambda a, w: kept * a + (1 - kept) * w, state.average, network)
        return replace(state, network=network, optimiser=optimiser, average=average), loss

    state, losses = jax.lax.scan(step, state, (jnp.arange(steps, dtype=jnp.float32), batches))
    return replace(state, epoch=state.epoch + 1), losses.mean()


def _noise(
    level_key: PRNGKeyArray, noise_key: PRNGKeyArray, steps: int, method: Method, columns: int
) -> tuple[Float[Array, " m"], Float[Array, "m d"]]:
    """For every row of an epoch, its noise level's place in their distribution, in [0, 1), and its noise."""
    batch_size = method.batch_size
    if method.objective.noise_levels == "uniform":
        share = jax.random.uniform(level_key, (steps, batch_size)).ravel()
        return share, jax.random.normal(noise_key, (steps * batch_size, columns))
    # The rows are in random order; for a gradient that varies less, each has its own stratum of the noise levels, and
    # neighbours have noise of opposite sign, which cancels what is odd in it.
    shift = jax.random.uniform(level_key, (steps, 1))
    share = (jnp.arange(batch_size)[None] + shift) / batch_size
    half = jax.random.normal(noise_key, (steps, (batch_size + 1) // 2, columns))
    eps = jnp.stack([half, -half], axis=2).reshape(steps, -1, columns)[:, :batch_size]
    return share.ravel(), eps.reshape(-1, columns)


def _learning_rate(fixed: _Fixed, step: Float[Array, ""], steps: int) -> Float[Array, ""]:
    progress = step / (fixed.epochs.astype(jnp.float32) * steps)
    warm = jnp.minimum(1.0, (step + 1) / jnp.maximum(fixed.warmup, 1.0))
    return fixed.learning_rate * warm * (1 - fixed.decay * 0.5 * (1 - jnp.cos(jnp.pi * progress)))
