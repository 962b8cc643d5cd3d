"""Trains many small models side by side: stacked, compiled, sharded over devices.

The weights of a model are the same to the last bit whether it is trained alone or in a stack, on one device or several,
in one go or with stops.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from pointillist.diffusion import schedules
from pointillist.diffusion.losses import CleanRows
from pointillist.diffusion.schedules import Schedule
from pointillist.engine import devices as engine_devices
from pointillist.engine.devices import QUICKLY
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL, PARTS_AXIS, TrainingState, first_network, pick, train
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.recipes import AnyArchitecture, AnyObjective, Method, Recipe, Weights

FEW_HELD_OUT_ROWS = 500
"""Most held-out rows whose loss is computed by a program that is not optimized, as optimizing would take longer."""

MOST_PADDED_ROWS = 4096
"""Largest number of rows that is padded to a power of two, so that small tables share a program. Training takes longer
than compiling with more rows, and rows of padding get noise too."""

_AXIS = "models"

_DTYPES = {"seed": np.uint32} | dict.fromkeys(("dataset", "epochs", "n_classes"), np.int32)
"""Types of a recipe's numbers in a program; float32 for the others."""


def sigma_data_of(rows: Float[np.ndarray, "*sets n d"]) -> Float[np.ndarray, "*sets d"]:
    """Return the root mean square of each column, float32; 1 where that is 0."""
    squares = np.mean(np.asarray(rows, np.float64) ** 2, axis=-2)
    return np.sqrt(np.where(squares > 0, squares, 1.0)).astype(np.float32)


def _mesh(parts: int, models: int, devices: Sequence[jax.Device] | None) -> jax.sharding.Mesh:
    """Make a mesh of devices that share the models, or that share each batch if batches are cut into parts."""
    if parts > 1 and devices is None and engine_devices.first()[0].platform == "cpu":
        # All cores share a large product anyway, and every device would hold a state.
        devices = engine_devices.first()
    available = engine_devices.mesh(_AXIS, devices).devices.tolist()
    if parts == 1:
        # A device without a model would hold a useless state; `devices.configure` says why there are at least two.
        return engine_devices.mesh(_AXIS, available[: max(2, models)])
    used = max(n for n in range(1, len(available) + 1) if parts % n == 0)
    return jax.sharding.Mesh(np.array(available[:used])[None], (_AXIS, PARTS_AXIS))


class StackTrainer:
    """Trains a stack of models; its state can be read and set at any epoch.

    Args:
        data: Data sets of one shape, shape (number of data sets, n, d), float32.
        recipes: Recipe of each model.
        architecture: The network's architecture.
        method: How the models are trained. An epoch is n // batch_size steps over rows in a new random order; the
            remaining rows are left out of that epoch.
        labels: Class indices, shape (number of data sets, n); only with an embedding of the class.
        sigma_data: `CleanRows.sigma_data` of each data set; the root mean square of each column of `data` by default.
        devices: Devices to use, all by default; only one of the cores if batches are cut into parts.
        capacity: Number of models that the compiled program has room for; stacks of one capacity share a program.
        is_side_by_side: Whether a device trains all its models at once, which suits a GPU and lets a model's last bits
            depend on its stack, or one after another; by default what suits the devices.
    """

    def __init__(
        self,
        data: Float[np.ndarray, "sets n d"],
        recipes: Sequence[Recipe],
        architecture: AnyArchitecture,
        method: Method,
        labels: Int[np.ndarray, "sets n"] | None = None,
        sigma_data: Float[np.ndarray, "sets ..."] | None = None,
        devices: Sequence[jax.Device] | None = None,
        capacity: int | None = None,
        is_side_by_side: bool | None = None,
    ) -> None:
        assert (labels is None) == (architecture.class_embedding == 0), "labels and their embedding need each other"
        assert 1 <= method.batch_size <= data.shape[1], "a batch has at most all rows"
        engine_devices.make_room()
        self.recipes = tuple(recipes)
        n_slots = max(capacity or 0, len(recipes))
        self._mesh = _mesh(method.parts, n_slots, devices)
        n_devices = self._mesh.shape[_AXIS]
        on_cpu = self._mesh.devices.flat[0].platform == "cpu"
        self._is_side_by_side = not on_cpu if is_side_by_side is None else is_side_by_side
        per_device = -(-n_slots // n_devices)
        in_turn = [device * per_device + i for i in range(per_device) for device in range(n_devices)]
        self._slots = in_turn[: len(recipes)]
        self._counts = np.bincount([slot // per_device for slot in self._slots], minlength=n_devices).astype(np.int32)
        self._architecture, self._method = architecture, method
        # Models of tokens have no schedule: tokens are masked, whatever their size.
        has_noise = any(recipe.schedule is not None for recipe in recipes)
        self._sigma_data = (sigma_data_of(data) if sigma_data is None else sigma_data) if has_noise else None
        self.feed(data, labels)
        # Slots without a model hold copies of the last one, which no loop reaches.
        by_slot = [self.recipes[-1]] * (per_device * n_devices)
        for slot, recipe in zip(self._slots, self.recipes, strict=True):
            by_slot[slot] = recipe
        self._stacked_recipes = self._sharded(_stacked(by_slot))
        networks = _first_networks(self._stacked_recipes.seed, architecture, data.shape[2])
        self._state = self._sharded(
            TrainingState.initial(networks, is_averaged=method.is_averaged, stack=(len(by_slot),))
        )

    def _sharded(self, tree: Any) -> Any:
        return jax.device_put(tree, NamedSharding(self._mesh, P(_AXIS)))

    def feed(self, data: Float[np.ndarray, "sets n d"], labels: Int[np.ndarray, "sets n"] | None) -> None:
        """Switch to other rows of the same shape."""
        n = data.shape[1]
        self._n_rows = np.int32(n)
        added = (0, 0), (0, 0 if n > MOST_PADDED_ROWS else (1 << (n - 1).bit_length()) - n)
        stacks = CleanRows(
            x0=jnp.asarray(np.pad(data, (*added, (0, 0))), jnp.float32),
            labels=None if labels is None else jnp.asarray(np.pad(labels, added), jnp.int32),
            sigma_data=None if self._sigma_data is None else jnp.asarray(self._sigma_data, jnp.float32),
        )
        self._data = jax.device_put(stacks, NamedSharding(self._mesh, P()))

    @property
    def epochs_done(self) -> list[int]:
        """Number of epochs that each model has been trained for."""
        return np.asarray(self._state.epoch)[self._slots].tolist()

    @property
    def is_done(self) -> bool:
        """Whether every model has had all its epochs."""
        return all(done >= r.epochs for done, r in zip(self.epochs_done, self.recipes, strict=True))

    def run(self, epochs: int) -> list[Float[np.ndarray, " done"]]:
        """Train every model for at most `epochs` more epochs, 0 … `MAX_EPOCHS_PER_CALL`, or to its last.

        Return, for each model, the mean loss of each epoch that this call trained.
        """
        before = self.epochs_done
        self._state, losses = _run(
            self._state,
            self._stacked_recipes,
            self._counts,
            np.asarray(min(epochs, MAX_EPOCHS_PER_CALL), np.int32),
            self._data,
            self._n_rows,
            architecture=self._architecture,
            method=self._method,
            mesh_and_order=(self._mesh, self._is_side_by_side),
        )
        losses = np.asarray(losses)[self._slots]
        return [row[: after - b] for row, b, after in zip(losses, before, self.epochs_done, strict=True)]

    def end_after(self, epochs: int) -> None:
        """Change the number of epochs of every model; the learning rate falls to its end by the last."""
        self.recipes = tuple(recipe._replace(epochs=epochs) for recipe in self.recipes)
        stacked = self._stacked_recipes
        self._stacked_recipes = stacked._replace(epochs=self._sharded(np.full(stacked.epochs.shape, epochs, np.int32)))

    def networks(self) -> list[Weights]:
        """Return each model's network, averaged if an average is kept, as NumPy arrays."""
        return self._each(self._state.trained)

    def states(self) -> list[TrainingState]:
        """Return each model's state, as NumPy arrays, which `restore` accepts."""
        return self._each(self._state)

    def _each(self, stacked: Any) -> list[Any]:
        host = jax.device_get(stacked)
        return [jax.tree.map(lambda leaf, slot=slot: leaf[slot, ...], host) for slot in self._slots]

    @property
    def template(self) -> TrainingState:
        """The state of a model with shapes and types instead of arrays."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), self._state)

    def restore(self, states: Sequence[TrainingState | None]) -> None:
        """Set the state of the models whose entry is not None."""
        host = jax.tree.map(np.array, jax.device_get(self._state))
        for slot, state in zip(self._slots, states, strict=True):
            if state is not None:
                jax.tree.map(lambda leaf, value, slot=slot: leaf.__setitem__(slot, value), host, state)
        # Frees the memory of the old state first.
        self._state = host
        self._state = self._sharded(host)


@partial(jax.jit, static_argnames=("architecture", "method", "mesh_and_order"), donate_argnums=0)
def _run(
    states: TrainingState,
    recipes: Recipe,
    counts: Int[Array, " devices"],
    epochs: Int[Array, ""],
    data: CleanRows,
    n_rows: Int[Array, ""],
    *,
    architecture: AnyArchitecture,
    method: Method,
    mesh_and_order: tuple[jax.sharding.Mesh, bool],
) -> tuple[TrainingState, Float[Array, "models epochs"]]:
    mesh, is_side_by_side = mesh_and_order

    def on_device(
        states: TrainingState, recipes: Recipe, count: Array, epochs: Array, data: CleanRows, n_rows: Array
    ) -> tuple[TrainingState, Array]:
        n_slots = len(states.epoch)
        train_model = partial(train, data=data, n_rows=n_rows, architecture=architecture, method=method)

        def train_one(i: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
            states, losses = carry
            state, model_losses = train_model(pick(states, i), pick(recipes, i), epochs)
            states = jax.tree.map(partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=0), states, state)
            return states, losses.at[i].set(model_losses)

        if is_side_by_side:
            # Slots without a model have no epochs to train.
            return jax.vmap(train_model)(states, recipes, jnp.where(jnp.arange(n_slots) < count[0], epochs, 0))
        # The bound is traced, so that a stack of one compiles to the same loop as a stack of many.
        return jax.lax.fori_loop(0, count[0], train_one, (states, jnp.zeros((n_slots, MAX_EPOCHS_PER_CALL))))

    specs = P(_AXIS), P(_AXIS), P(_AXIS), P(), P(), P()
    mapped = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=P(_AXIS), check_vma=False)
    return mapped(states, recipes, counts, epochs, data, n_rows)


def _stacked(recipes: Sequence[Recipe]) -> Recipe:
    """Stack recipes as NumPy arrays; each array of JAX would be a small program that every process has to trace."""
    numbers: dict[str, Any] = {
        name: np.array(values, _DTYPES.get(name, np.float32))
        for name, values in zip(Recipe._fields, zip(*recipes, strict=True), strict=True)
        if name != "schedule"
    }
    found = [recipe.schedule for recipe in recipes if recipe.schedule is not None]
    return Recipe(schedule=schedules.stack(found) if found else None, **numbers)


@partial(jax.jit, static_argnums=(1, 2), compiler_options=QUICKLY)
def _first_networks(seeds: UInt32[Array, " stack"], architecture: AnyArchitecture, columns: int) -> Weights:
    # A loop and not vmap, so that the bits of a model's first weights do not depend on the stack.
    return jax.lax.map(lambda seed: first_network(key_of(seed, Stream.TRAINING), architecture, columns), seeds)


def held_out_loss(
    network: Weights,
    architecture: AnyArchitecture,
    objective: AnyObjective,
    schedule: Schedule | None,
    sigma_data: Float[np.ndarray, "..."] | None,
    rows: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"] | None,
    seed: int,
) -> float:
    """Compute the mean loss over held-out rows, shape (n, d), scaled; see the objective's `held_out_loss`.

    Noise levels and noise depend on the seed alone, so losses of a model at different epochs can be compared.
    """
    compute = _loss_of_few if len(rows) <= FEW_HELD_OUT_ROWS else _loss_of_many
    clean = rows, labels, schedule, sigma_data
    return float(compute(key_of(seed, Stream.HELD_OUT_LOSS), network, clean, architecture, objective))


def _loss(
    key: PRNGKeyArray, network: Any, clean: tuple[Any, ...], architecture: AnyArchitecture, objective: AnyObjective
) -> Float[Array, ""]:
    rows, labels, schedule, sigma_data = clean
    return objective.held_out_loss(key, network, CleanRows(rows, labels, schedule, sigma_data, architecture.features))


_loss_of_many = jax.jit(_loss, static_argnames=("architecture", "objective"))
_loss_of_few = jax.jit(_loss, static_argnames=("architecture", "objective"), compiler_options=QUICKLY)
