"""Training many small models side by side: stacked, compiled, sharded over devices.

Every device walks its own models one after another, each for some epochs: one model's weights and optimiser state
then stay in the core's cache. A model sees neither the other models nor the number of devices: its weights are the
same to the last bit whether it is trained alone or in a stack, in one go or with stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
from pointillist.diffusion.losses import noise_prediction_loss
from pointillist.diffusion.networks import MLP, sinusoidal_embedding
from pointillist.diffusion.schedules import Schedule, at
from pointillist.engine import devices as engine_devices

MAX_EPOCHS_PER_CALL = 64
"""A device call trains a model for at most so many epochs; the length of its table of losses."""

_OPTIMISER = optax.scale_by_adam()
_AXIS = "models"


@dataclass(frozen=True)
class Architecture:
    """The network of every model in a stack.

    Attributes:
        width: Units of a hidden layer.
        depth: Number of hidden blocks.
        time_embedding: Width of the embedding of t, even.
        class_embedding: Width of the embedding of the class, even; 0 for models of data without classes.
    """

    width: int = 128
    depth: int = 5
    time_embedding: int = 16
    class_embedding: int = 0

    def build(self, key: PRNGKeyArray, columns: int) -> MLP:
        """A fresh network for rows of `columns` columns."""
        features = self.time_embedding + self.class_embedding
        return MLP(key, columns=columns, features=features, width=self.width, depth=self.depth)

    def denoiser(self, network: MLP, schedule: Schedule, n_classes: int, bounds: Bounds | None = None) -> Denoiser:
        """The network as a denoiser; `n_classes` counts only with an embedding of the class."""
        if not self.class_embedding:
            return NetworkDenoiser(network=network, schedule=schedule, bounds=bounds)
        count = np.asarray(n_classes, np.int32)
        return ConditionalNetworkDenoiser(
            network=network, schedule=schedule, n_classes=count, time_embedding=self.time_embedding, bounds=bounds
        )


@dataclass(frozen=True)
class Recipe:
    """What may differ between the models of a stack.

    Attributes:
        dataset: Index of the model's data set in the stack's data.
        schedule: Its noise schedule.
        seed: 0 … 2³² - 1; decides the initial weights, the order of rows, times and noise.
        epochs: Passes over the data, at least 1.
        learning_rate: Adam's, positive.
        decay: Whether the learning rate goes down to 0 over the epochs, as half a cosine.
        n_classes: Number of classes; it stands for "no class" as a label.
        p_uncond: Share of rows, drawn anew each epoch, that are shown with "no class" in place of their label
            (Ho & Salimans 2022, arXiv 2207.12598, algorithm 1).
    """

    dataset: int
    schedule: Schedule
    seed: int
    epochs: int = 100
    learning_rate: float = 1e-3
    decay: bool = False
    n_classes: int = 0
    p_uncond: float = 0.0


class TrainingState(eqx.Module):
    """One model in training, or a stack of them; a pytree of arrays."""

    network: MLP
    optimiser: optax.OptState
    epoch: Int[Array, "*stack"]


class _Fixed(eqx.Module):
    """What a model's training reads and does not change."""

    key: Key[Array, "*stack"]
    dataset: Int[Array, "*stack"]
    schedule: Schedule
    epochs: Int[Array, "*stack"]
    learning_rate: Float[Array, "*stack"]
    decay: Float[Array, "*stack"]
    n_classes: Int[Array, "*stack"]
    p_uncond: Float[Array, "*stack"]


class _Data(eqx.Module):
    """Data sets of one shape, and their labels if the models are of data with classes."""

    rows: Float[Array, "sets n d"]
    labels: Int[Array, "sets n"] | None


def training_key(seed: int) -> PRNGKeyArray:
    """The key of a model's training; `sampling` folds other numbers into the same seed."""
    return jax.random.fold_in(jax.random.key(seed), 0)


class StackTrainer:
    """Trains a stack of models; its state can be read and set at any epoch.

    Args:
        data: Shape (number of data sets, n, d), float32: data sets of one shape.
        recipes: One per model.
        architecture: The network.
        labels: Shape (number of data sets, n), indices of classes; needed with an embedding of the class.
        batch_size: Rows a step, at most n. An epoch is n // batch_size steps over rows in a new random order; the
            rows that remain are left out of that epoch.
        devices: All by default.
        capacity: Models that the compiled program has room for, at least as many as there are; stacks of one capacity
            share a program.
    """

    def __init__(
        self,
        data: Float[np.ndarray, "sets n d"],
        recipes: Sequence[Recipe],
        architecture: Architecture,
        batch_size: int,
        labels: Int[np.ndarray, "sets n"] | None = None,
        devices: Sequence[jax.Device] | None = None,
        capacity: int | None = None,
    ) -> None:
        if (labels is None) != (architecture.class_embedding == 0):
            raise ValueError("labels and an embedding of the class need each other")
        if not 1 <= batch_size <= data.shape[1]:
            raise ValueError(
                f"batch_size must be between 1 and the number of rows, {data.shape[1]}; it is {batch_size}"
            )
        self.recipes = tuple(recipes)
        self._mesh = engine_devices.mesh(_AXIS, devices)
        n_devices = self._mesh.size
        # Places without a model of their own hold copies of the last, which no loop reaches.
        self._per_device = -(-max(capacity or 0, len(recipes)) // n_devices)
        in_turn = [device * self._per_device + i for i in range(self._per_device) for device in range(n_devices)]
        self._slots = in_turn[: len(recipes)]
        self._counts = np.bincount([slot // self._per_device for slot in self._slots], minlength=n_devices)
        self._batch_size = batch_size
        self._architecture = architecture
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
                decay=jnp.asarray([r.decay for r in in_place], jnp.float32),
                n_classes=jnp.asarray([r.n_classes for r in in_place], jnp.int32),
                p_uncond=jnp.asarray([r.p_uncond for r in in_place], jnp.float32),
            )
        )
        self._state = self._sharded(_initial(self._fixed.key, architecture, data.shape[2]))

    def _sharded(self, tree: Any) -> Any:
        return jax.device_put(tree, NamedSharding(self._mesh, P(_AXIS)))

    def feed(self, data: Float[np.ndarray, "sets n d"], labels: Int[np.ndarray, "sets n"] | None) -> None:
        """Trains on other rows from now on, of the shape of the first ones."""
        everything = _Data(jnp.asarray(data, jnp.float32), None if labels is None else jnp.asarray(labels, jnp.int32))
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
            batch_size=self._batch_size,
            time_embedding=self._architecture.time_embedding,
            mesh=self._mesh,
        )
        losses = np.asarray(losses)[self._slots]
        return [row[: after - b] for row, b, after in zip(losses, before, self.epochs_done, strict=True)]

    def networks(self) -> list[MLP]:
        """Each model's network, as NumPy arrays."""
        return [state.network for state in self.states()]

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


@partial(jax.jit, static_argnums=(1, 2))
def _initial(keys: Key[Array, " stack"], architecture: Architecture, columns: int) -> TrainingState:
    def one(key: PRNGKeyArray) -> TrainingState:
        network = architecture.build(jax.random.fold_in(key, 0), columns)
        return TrainingState(network, _OPTIMISER.init(network), jnp.zeros((), jnp.int32))

    # A loop and not vmap: the bits of a model's first weights must not depend on the stack.
    return jax.lax.map(one, keys)


@partial(jax.jit, static_argnames=("batch_size", "time_embedding", "mesh"), donate_argnums=0)
def _run(
    states: TrainingState,
    fixed: _Fixed,
    counts: Int[Array, " devices"],
    epochs: Int[Array, ""],
    data: _Data,
    *,
    batch_size: int,
    time_embedding: int,
    mesh: jax.sharding.Mesh,
) -> tuple[TrainingState, Float[Array, "models epochs"]]:
    def on_device(
        states: TrainingState, fixed: _Fixed, count: Array, epochs: Array, data: _Data
    ) -> tuple[TrainingState, Array]:
        def train_one(i: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
            states, losses = carry
            state, own_losses = _train(_pick(states, i), _pick(fixed, i), epochs, data, batch_size, time_embedding)
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
    state: TrainingState, fixed: _Fixed, epochs: Array, data: _Data, batch_size: int, time_embedding: int
) -> tuple[TrainingState, Float[Array, " epochs"]]:
    own = _pick(data, fixed.dataset)
    times = jnp.arange(fixed.schedule.alpha.shape[-1])
    embedding = sinusoidal_embedding(times, time_embedding)
    start = state.epoch

    def one_epoch(i: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
        state, losses = carry
        state, loss = _epoch(state, fixed, own, embedding, batch_size)
        return state, losses.at[i].set(loss)

    n_epochs = jnp.minimum(epochs, fixed.epochs - start)
    return jax.lax.fori_loop(0, n_epochs, one_epoch, (state, jnp.zeros(MAX_EPOCHS_PER_CALL)))


def _epoch(
    state: TrainingState,
    fixed: _Fixed,
    data: _Data,
    embedding: Float[Array, "L f"],
    batch_size: int,
) -> tuple[TrainingState, Float[Array, ""]]:
    n, d = data.rows.shape
    steps = n // batch_size
    epoch_key = jax.random.fold_in(fixed.key, state.epoch + 1)
    order_key, time_key, noise_key = jax.random.split(epoch_key, 3)
    # One epoch's rows, times and noise are drawn at once: a step is then nothing but the network.
    order = jax.random.permutation(order_key, n)[: steps * batch_size]
    t = jax.random.randint(time_key, (steps * batch_size,), 1, fixed.schedule.timesteps + 1)
    eps = jax.random.normal(noise_key, (steps * batch_size, d))
    x_t = at(fixed.schedule.alpha, t)[:, None] * data.rows[order] + at(fixed.schedule.sigma, t)[:, None] * eps
    features = embedding[t]
    if data.labels is not None:
        is_dropped = jax.random.bernoulli(jax.random.fold_in(epoch_key, 3), fixed.p_uncond, t.shape)
        label = jnp.where(is_dropped, fixed.n_classes, data.labels[order])
        class_width = state.network.features - features.shape[-1]
        features = jnp.concatenate([features, sinusoidal_embedding(label, class_width)], axis=-1)
    batches = jax.tree.map(lambda a: a.reshape(steps, batch_size, -1), (x_t, features, eps))

    progress = state.epoch.astype(jnp.float32) / fixed.epochs.astype(jnp.float32)
    learning_rate = fixed.learning_rate * (1 - fixed.decay * 0.5 * (1 - jnp.cos(jnp.pi * progress)))

    def step(carry: tuple[MLP, optax.OptState], batch: tuple[Array, ...]) -> tuple[tuple[MLP, optax.OptState], Array]:
        network, optimiser = carry
        loss, gradient = jax.value_and_grad(noise_prediction_loss)(network, *batch)
        update, optimiser = _OPTIMISER.update(gradient, optimiser)
        network = jax.tree.map(lambda w, u: w - learning_rate * u, network, update)
        return (network, optimiser), loss

    (network, optimiser), losses = jax.lax.scan(step, (state.network, state.optimiser), batches)
    return TrainingState(network, optimiser, state.epoch + 1), losses.mean()
