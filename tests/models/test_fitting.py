import signal
import subprocess
import sys
import warnings

import numpy as np
import pandas
import pytest
from sklearn.base import clone

from pointillist import Diffusion, load_pointset
from pointillist.diffusion.schedules import cosine
from pointillist.models import plan as plans
from pointillist.models import training
from pointillist.models.checkpoint import Checkpoint
from pointillist.models.configuration import Configuration
from pointillist.models.container import ModelFileError
from pointillist.models.fitting import prepare
from pointillist.models.plan import parts_of
from pointillist.models.planning import plan_numbers, warn_of_prior
from pointillist.tables.layout import Layout

X, Y = load_pointset("blobs", 600)
QUICK = {"timesteps": 20, "width": 16, "depth": 1, "epochs": 12, "learning_rate": 3e-3, "random_state": 0}


def as_numbers(rows):
    return Layout("array", ("float64",) * rows.shape[1]), rows.astype(np.float64)


def weights(model):
    return np.concatenate(
        [np.ravel(layer.weight) for layer in (model.model_.network.input, model.model_.network.output)]
    )


@pytest.mark.slow
def test_early_stopping_keeps_the_least_held_out_loss():
    # Few rows and many epochs, so that the model memorizes the rows.
    options = QUICK | {"epochs": 4000, "width": 64, "depth": 2, "batch_size": 64}
    model = Diffusion(**options, early_stopping=True, n_iter_no_change=2, validation_fraction=0.3).fit(X[:100])
    looks = model.validation_history_
    assert len(model.history_) < 4000 and len(looks) - 1 - looks.argmin() == 2
    assert model.history_[-1] < model.history_[0]
    again = clone(model).fit(X[:100])
    np.testing.assert_array_equal(weights(again), weights(model))
    np.testing.assert_array_equal(again.validation_history_, looks)


def test_held_out_rows_do_not_affect_training():
    changed = X.astype(np.float64)
    # The scaling uses the range, which halving the rows does not change.
    options = QUICK | {"early_stopping": True, "scaling": "minmax"}
    plan = plan_numbers(Diffusion(**options), Layout("array", ("float64",) * 2), changed, None)[0]
    changed[plan.held_out] *= 0.5
    models = [Diffusion(**options).fit(rows) for rows in (X.astype(np.float64), changed)]
    np.testing.assert_array_equal(models[0].history_, models[1].history_)
    assert len(plan.held_out) == 60 and not np.array_equal(*(model.validation_history_ for model in models))


def test_training_keeps_a_row_of_every_class():
    y = np.repeat(np.arange(5), 2)
    asked = Diffusion(**QUICK, early_stopping=True, validation_fraction=0.9)
    plan, classes, _ = plan_numbers(asked, *as_numbers(X[:10]), y)
    assert classes.counts.tolist() == [2] * 5 and len(plan.held_out) == 5
    assert sorted(y[np.delete(np.arange(10), plan.held_out)]) == list(range(5))


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(plans, "SHARD_VALUES", 45 * 200)


@pytest.mark.slow
def test_a_table_in_shards_is_learned(small_shards, tmp_path):
    rows, labels = load_pointset("blobs", 3000)
    rows = rows.astype(np.float64)
    model = Diffusion(**QUICK).fit(rows)
    assert len(model.history_) == 12 and model.history_[-1] < 0.8 * model.history_[0]
    np.save(tmp_path / "rows.npy", rows)
    mapped = Diffusion(**QUICK).fit(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    np.testing.assert_array_equal(weights(mapped), weights(model))
    assert mapped.model_.record.fingerprint == model.model_.record.fingerprint
    with_classes = Diffusion(**QUICK, early_stopping=True).fit(rows, labels)
    assert with_classes.class_counts_.tolist() == np.bincount(labels).tolist()


def test_shards_hold_each_row_once_a_pass(small_shards):
    rows = np.arange(3000.0)[:, None]
    plan = plan_numbers(Diffusion(**QUICK), Layout("array", ("float64",)), rows, None)[0]
    assert plan.n_shards > 5 and plan.shard_size % plans.BLOCK == 0
    passes = []
    for turn in range(3):
        parts = [plan.shard(turn * plan.n_shards + i)[0][0] for i in range(plan.n_shards)]
        seen = np.round(plan.codec.scaling.inverse(np.concatenate(parts))[:, 0]).astype(int)
        assert len(set(seen)) == len(seen) == plan.n_shards * plan.shard_size > 0.8 * 3000
        passes.append(seen)
    assert len(set().union(*passes)) > 2950 and not np.array_equal(passes[0], passes[1])


def test_warm_up_is_at_most_a_tenth():
    # 12 epochs.
    models = [Diffusion(**QUICK, warmup=steps).fit(X) for steps in (10_000, 12 * (len(X) // 64) // 10, 1)]
    np.testing.assert_array_equal(weights(models[0]), weights(models[1]))
    assert not np.array_equal(weights(models[0]), weights(models[2]))


def test_the_default_number_of_epochs(monkeypatch):
    monkeypatch.setattr("pointillist.models.planning.DEFAULT_STEPS", 40)
    monkeypatch.setattr("pointillist.models.planning.MOST_EPOCHS", 7)
    for n, epochs in ((600, 5), (64, 7)):  # 9 steps an epoch, and 1
        assert len(Diffusion(**QUICK | {"epochs": None}).fit(X[:n]).history_) == epochs


def test_unused_schedule_ends_cause_a_warning():
    values = np.resize([1.0, 2.0, 3.0], (400, 2))
    with pytest.warns(UserWarning, match="the noise schedule is 'cosine', which does not use beta_end"):
        task = prepare(Configuration(beta_end=0.05), values)
    # They do not choose the process either.
    assert task.plan.codec.encoding.n_tokens


@pytest.mark.parametrize(("n", "batch_size"), [(500, 256), (1000, 256), (960, 64), (450, 64)])
def test_shards_hold_a_batch_and_together_nearly_all_rows(monkeypatch, n, batch_size):
    monkeypatch.setattr(plans, "SHARD_VALUES", 45 * 128)
    plan = plan_numbers(Diffusion(**QUICK, batch_size=batch_size), *as_numbers(np.arange(float(n))[:, None]), None)[0]
    assert plan.shard_size >= batch_size and plan.n_shards * plan.shard_size >= 0.9 * (n // 64 * 64)


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 100])
def test_few_rows_of_many_columns(monkeypatch, n):
    monkeypatch.setattr(plans, "SHARD_VALUES", 2000)
    rows = np.random.default_rng(0).normal(size=(n, 50))
    assert np.isfinite(Diffusion(**QUICK | {"epochs": 2}).fit(rows).history_).all()


def test_too_few_rows_and_too_many_epochs_are_refused():
    with pytest.raises(ValueError, match="early_stopping needs rows to hold out, but X has 2: give more rows"):
        Diffusion(**QUICK, early_stopping=True).fit(X[:2])
    with pytest.raises(ValueError, match="epochs must be an integer from 1 to 2,147,483,647, or None, not 3000000000"):
        Diffusion(**QUICK | {"epochs": 3 * 10**9}).fit(X)


def test_a_checkpoint_keeps_the_random_seed(tmp_path, monkeypatch):
    options = QUICK | {"random_state": None}
    first = prepare(Diffusion(**options), X, read=as_numbers).fit(tmp_path / "c")
    again = Diffusion(**options).fit(X, checkpoint=tmp_path / "c").model_
    assert again.record.seed == first.record.seed and not (tmp_path / "c").exists()
    np.testing.assert_array_equal(again.network.output.weight, first.network.output.weight)


def test_parameters_set_after_fit_do_not_touch_the_model(tmp_path):
    model = Diffusion(**QUICK).fit(X, Y)
    rows = model.sample(20, labels=1, guidance=1.0, random_state=0)
    model.set_params(width=99, timesteps=7, schedule="linear", p_uncond=0.0, class_embedding=4, scaling=None)
    np.testing.assert_array_equal(model.sample(20, labels=1, guidance=1.0, random_state=0), rows)
    model.save(tmp_path / "m")
    again = Diffusion.load(tmp_path / "m")
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.sample(20, labels=1, guidance=1.0, random_state=0), rows)


def test_a_failed_fit_changes_nothing():
    model = Diffusion(**QUICK).fit(X, Y)
    before = dict(vars(model))
    for rows in (np.zeros((4, 5)), np.full((4, 3), np.nan)):
        with pytest.raises(ValueError):
            model.fit(rows)
    assert vars(model) == before


def test_a_schedule_that_leaves_signal_causes_a_warning():
    with pytest.warns(UserWarning, match=r"KL\(q\(x_T \| x_0\) ‖ N\(0, I\)\) is 0\.\d+ nats per column, above 0\.01"):
        Diffusion(**QUICK | {"epochs": 1}, schedule="linear").fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Diffusion(**QUICK | {"epochs": 1}).fit(X)


def test_a_divergence_raises_an_error():
    with pytest.raises(ValueError, match=r"training diverged with learning_rate=0\.003: lower it, or scale"):
        Diffusion(**QUICK, scaling=None).fit(X * 1e25)


FIT = """
import os, signal, sys
import numpy as np
from pointillist import Diffusion, load_pointset
from pointillist.models import checkpoint, training
training.CHECKPOINT_EVERY, training.STEPS_PER_CALL = 0.0, 20
written = 0
def counted(write):
    def write_and_die(self, progress):
        global written
        write(self, progress)
        written += 1
        if written == int(sys.argv[3]):
            os.kill(os.getpid(), getattr(signal, sys.argv[4]))
    return write_and_die
checkpoint.Checkpoint.write = counted(checkpoint.Checkpoint.write)
X, y = load_pointset("blobs", 600)
model = Diffusion(timesteps=20, width=16, depth=1, epochs=60, random_state=3, early_stopping=True)
model.fit(X, y, checkpoint=sys.argv[2]).save(sys.argv[1])
"""


def fit_until(tmp_path, name, writes, signal_name):
    arguments = [sys.executable, "-c", FIT, tmp_path / name, tmp_path / "checkpoint", str(writes), signal_name]
    return subprocess.run(list(map(str, arguments)), capture_output=True, text=True)


@pytest.mark.slow
def test_a_killed_fit_resumes_to_the_same_weights(tmp_path):
    killed = fit_until(tmp_path, "stopped", 7, "SIGKILL")
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "stopped").exists()
    assert (tmp_path / "checkpoint").exists()
    with pytest.raises(ModelFileError, match="is a checkpoint of an unfinished fit, not a model"):
        Diffusion.load(tmp_path / "checkpoint")
    interrupted = fit_until(tmp_path, "stopped", 5, "SIGINT")
    assert interrupted.returncode != 0 and "KeyboardInterrupt" in interrupted.stderr
    assert (tmp_path / "checkpoint").exists() and not (tmp_path / "stopped").exists()
    with pytest.raises(ValueError, match="is not a checkpoint of this training"):
        Diffusion(**QUICK).fit(X, checkpoint=tmp_path / "checkpoint")
    assert fit_until(tmp_path, "stopped", 10**6, "SIGKILL").returncode == 0
    assert not (tmp_path / "checkpoint").exists()
    assert fit_until(tmp_path, "whole", 10**6, "SIGKILL").returncode == 0
    assert (tmp_path / "stopped").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_damaged_checkpoint_is_reported(tmp_path):
    (tmp_path / "c").write_bytes(b"nothing of use here")
    with pytest.raises(ModelFileError, match="is not a model file"):
        Diffusion(**QUICK).fit(X, checkpoint=tmp_path / "c")


def stopped(path, monkeypatch, writes=3):
    """Leaves the checkpoint of a fit that was interrupted after a number of writes."""
    done = []

    def write_and_stop(self, progress, write=Checkpoint.write):
        write(self, progress)
        done.append(progress)
        if len(done) == writes:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "CHECKPOINT_EVERY", 0.0)
        patch.setattr(training, "STEPS_PER_CALL", 20)
        patch.setattr(Checkpoint, "write", write_and_stop)
        Diffusion(**QUICK).fit(X, checkpoint=path)


def flipped(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)


def test_an_empty_checkpoint_is_ignored(tmp_path):
    (tmp_path / "c").touch()
    whole = weights(Diffusion(**QUICK).fit(X))
    assert weights(Diffusion(**QUICK).fit(X, checkpoint=tmp_path / "c")).tobytes() == whole.tobytes()


def test_every_flipped_bit_of_a_checkpoint_is_detected(tmp_path, monkeypatch):
    last = tmp_path / "c"
    stopped(last, monkeypatch, writes=1)
    content = last.read_bytes()
    for offset in np.random.default_rng(0).choice(len(content), 30, replace=False):
        flipped(last, int(offset))
        with pytest.raises(ModelFileError, match=f"{last}: ") as error:
            Diffusion(**QUICK).fit(X, checkpoint=last)
        assert "remove it to start over" in str(error.value) and "\n" not in str(error.value)
        last.write_bytes(content)


@pytest.mark.slow
def test_a_terminated_fit_writes_its_state(tmp_path):
    ended = fit_until(tmp_path, "stopped", 4, "SIGTERM")
    assert ended.returncode == 143 and (tmp_path / "checkpoint").exists()
    assert fit_until(tmp_path, "stopped", 10**6, "SIGKILL").returncode == 0
    assert fit_until(tmp_path, "whole", 10**6, "SIGKILL").returncode == 0
    assert (tmp_path / "stopped").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize(
    "batch_size,width,parts",
    [(64, 256, 1), (512, 256, 1), (1024, 96, 1), (1024, 256, 2), (2000, 256, 2), (3584, 256, 4), (8192, 512, 8)],
)
def test_large_batches_of_wide_networks_are_cut_into_parts(batch_size, width, parts):
    assert parts_of(batch_size, width) == parts


@pytest.mark.slow
def test_clipped_fits_differ():
    plain, clipped = (Diffusion(**QUICK | {"epochs": 1, "gradient_clip": c}).fit(X) for c in (None, 1e-3))
    assert not np.array_equal(weights(plain), weights(clipped))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weight_decay": -1}, "weight_decay must be a number from 0 to 1,000, not -1"),
        ({"gradient_clip": 0}, "gradient_clip must be a number above 0, or None, not 0"),
        ({"precision": "float16"}, "precision must be one of 'float32', 'bfloat16', not 'float16'"),
    ],
)
def test_optimizer_parameters_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        Diffusion(**wrong).fit(np.zeros((4, 2)))


def test_training_holds_tokens_in_single_precision_and_no_table():
    table = pandas.DataFrame({"kind": ["a", "b", "c"] * 100, "x": np.arange(300.0)})
    task = prepare(Configuration(process="masked"), table)
    assert task.table is not None and task.without_table().table is None
    assert task.plan.rows.dtype == np.float32 and task.without_table().plan is task.plan


@pytest.mark.parametrize(("spread", "centre", "is_warned"), [(1, 0, False), (3, 0, False), (20, 0, True), (1, 4, True)])
def test_columns_far_from_the_start_of_solvers_cause_a_warning(spread, centre, is_warned):
    """The distribution at σ = 10 is N(center, std² + 10²), times alpha: with a std of 20 instead of 1, 1.2 nats off."""
    rows = centre + spread * np.random.default_rng(0).normal(size=(500, 1))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_prior(cosine(1000), rows)
    assert [str(one.message)[:30] for one in found] == is_warned * ["few-step samplers start from N"]
