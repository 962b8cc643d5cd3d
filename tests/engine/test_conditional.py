import jax
import jax.numpy as jnp
import numpy as np

from pointillist import load_pointset
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.samplers import Ancestral
from pointillist.diffusion.schedules import cosine, linear
from pointillist.engine.recipes import Architecture, Method, Recipe
from pointillist.engine.sampling import Division, sample_rows
from pointillist.engine.training import StackTrainer

SMALL = Architecture(width=16, depth=2, time_embedding=8, class_embedding=8)
MIXTURE = GaussianMixture.of([0.5, 0.3, 0.2], [[-1.0, 0.0], [1.0, 1.0], [1.0, -1.0]], 0.01 * np.eye(2), [0, 1, 2])
SCHEDULE = cosine(50)


def stack(labels, p_uncond=0.2):
    rows = [load_pointset(name, n_rows=200)[0] for name in ("moons", "manycircles")]
    recipes = [
        Recipe(dataset=i, schedule=linear(50), seed=i, epochs=3, n_classes=n, p_uncond=p_uncond)
        for i, n in enumerate((2, 8))
    ]
    trainer = StackTrainer(np.stack(rows), recipes, SMALL, method=Method(batch_size=32), labels=labels)
    trainer.run(3)
    return trainer.networks()


LABELS = np.stack([load_pointset(name, n_rows=200)[1] for name in ("moons", "manycircles")]).astype(np.int32)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def test_labels_reach_training_unless_all_are_dropped():
    other = LABELS[:, ::-1]
    assert not same(stack(LABELS), stack(other))
    assert same(stack(LABELS, p_uncond=1.0), stack(other, p_uncond=1.0))


def test_a_fraction_of_the_labels_is_dropped():
    """Labels are dropped always with p_uncond = 1, and never with p_uncond = 0."""
    assert not same(stack(LABELS, p_uncond=0.0), stack(LABELS, p_uncond=0.2))
    # The class embedding is data, not a weight: models with different numbers of classes share a stack.
    assert [n.input.weight.shape for n in stack(LABELS)] == [(16, 2 + 8 + 8)] * 2


def test_rows_have_the_requested_class():
    labels = np.random.default_rng(0).integers(0, 4, 700)  # 3 is "no class"
    rows = sample_rows(
        MIXTURE.denoiser(SCHEDULE), Ancestral(SCHEDULE, "beta"), columns=2, n_rows=700, seed=0, labels=labels
    )
    found = ((rows[:, None] - MIXTURE.means) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(found[labels < 3], labels[labels < 3])
    fractions = np.bincount(found[labels == 3], minlength=3) / (labels == 3).sum()
    assert (np.abs(fractions - MIXTURE.weights) < 4 * 0.5 / np.sqrt((labels == 3).sum())).all()


def test_labeled_rows_depend_only_on_seed_index_and_label():
    labels = np.arange(1300) % 3
    guided = ClassifierFree(MIXTURE.denoiser(SCHEDULE), 0.5)

    def drawn(n_rows, **options):
        return sample_rows(
            guided, Ancestral(SCHEDULE, "beta"), columns=2, n_rows=n_rows, seed=0, labels=labels[:n_rows], **options
        )

    many = drawn(1300)
    np.testing.assert_array_equal(drawn(7), many[:7])
    np.testing.assert_array_equal(drawn(1300, division=Division(devices=jax.devices()[:1])), many)


def test_one_program_for_every_guidance_scale():
    from pointillist.engine import sampling

    jax.clear_caches()
    for w in (0.25, 1.0, 4.0):
        guided = ClassifierFree(MIXTURE.denoiser(SCHEDULE), jnp.float32(w))
        sample_rows(guided, Ancestral(SCHEDULE, "beta"), columns=2, n_rows=3, seed=0, labels=np.zeros(3, np.int32))
    assert sampling._chunks._cache_size() == 1
