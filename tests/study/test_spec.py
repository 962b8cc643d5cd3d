import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pointillist.study.grid import study_cells
from pointillist.study.spec import SpecError, from_json, to_json
from pointillist.study.spec_files import load_spec, parse_spec


def parsed(text, folder=Path("nowhere")):
    return parse_spec(text, folder / "my.toml")


def test_the_built_in_report():
    spec = load_spec("report")
    columns = {section.name: [column.label for column in section.columns] for section in spec.sections}
    assert columns == {
        "timesteps": ["10", "50", "100", "150", "200", "500"],
        "beta_schedule": [
            "1e-4..0.02", "1e-3..0.2", "1e-5..2e-3", "1e-5..0.02", "1e-4..0.2", "1e-5..0.2",
        ],
        "schedule": ["cosine", "sigmoid"],
        "guidance": ["0", "0.25", "0.5", "1", "2", "4"],
        "reward": ["svdd_pm", "svdd_pm as published", "guidance"],
        "classifier": ["knn_100", "mlp_100_50", "elbo", "exact"],
    }  # fmt: skip
    assert [s.kind for s in spec.sections] == ["rows"] * 3 + ["classes"] * 2 + ["classifier"]
    sets = ("moons", "circles", "blobs", "manycircles", "helix")
    cells = study_cells(spec, {name: name for name in sets})
    assert all(section.datasets == sets for section in spec.sections)
    # Per set, 13 unconditional models (one is steered) and a conditional one.
    assert len({cell.model_key for cell in cells if cell.model_key}) == 65 + 5
    assert len({cell.rows_key for cell in cells if cell.rows_key}) == 65 + 35 + 5
    for settings in (cell.settings for cell in cells):
        assert (settings.width, settings.depth, settings.time_embedding) == (128, 5, 16)
        assert (settings.epochs, settings.batch_size, settings.learning_rate) == (100, 64, 1e-3)
        assert (settings.variance, settings.emd_rows) == ("beta", 250)
        assert settings.n_samples == (5000 if settings.kind == "rows" else 20_000)
        assert settings.method != "guidance" or (settings.class_embedding, settings.p_uncond) == (16, 0.2)
        assert settings.method != "svdd_pm" or (settings.candidates, settings.reward_temperature) == (10, 0.1)
    # Every reported number finds its column: 5 sets x 2 metrics x columns.
    assert [len(section.reference) for section in spec.sections] == [60, 60, 20, 50, 10, 10]
    moons = {r.column: r.value for r in spec.sections[1].reference if (r.dataset, r.metric) == ("moons", "emd")}
    assert moons["1e-3..0.2"] == 35.57 and moons["1e-4..0.02"] == 30.55


def test_the_built_in_recipes():
    from pointillist import Diffusion
    from pointillist.estimators import REPORT
    from pointillist.models.configuration import Configuration, network_parameters
    from pointillist.models.planning import BATCH_SIZE, LEARNING_RATE, WIDTH

    (section,) = load_spec("recipes").sections
    everything = section.columns[0]
    assert everything.label == "all" and section.varied == ()
    # The first column equals `Diffusion()` except for the scaling of the columns.
    model, settings = (
        Diffusion().get_params()
        | network_parameters(Configuration(), WIDTH)
        | {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE},
        everything.settings,
    )
    shared = ("timesteps", "schedule", "network", "prediction", "weighting", "noise_levels", "width", "depth")
    for name in (*shared, "time_embedding", "batch_size", "learning_rate", "warmup", "decay", "averaging"):
        assert getattr(settings, name) == model[name], name
    published = {column.label: column.settings for column in section.columns}["published recipe"]
    for name in (
        "network",
        "prediction",
        "weighting",
        "noise_levels",
        "width",
        "depth",
        "time_embedding",
        "batch_size",
    ):
        assert getattr(published, name) == REPORT[name], name
    # Each variant is another model, except the one that differs only in sampling.
    cells = study_cells(load_spec("recipes"), {name: name for name in section.datasets})
    assert len({cell.model_key for cell in cells}) == (len(section.columns) - 1) * 5 * 5


def test_each_variant_is_a_column():
    spec = parsed("""
datasets = "moons"
epochs = 7
[sections.a]
width = 16
[sections.a.variants.plain]
[sections.a.variants."wide, long"]
width = 32
epochs = 9
""")
    (section,) = spec.sections
    found = [(c.label, c.settings.width, c.settings.epochs) for c in section.columns]
    guided = parsed(GOOD + "[sections.a.variants.w0]\nguidance = 0\n[sections.a.variants.w2]\nguidance = 2").sections[0]
    assert [(c.settings.method, c.settings.guidance) for c in guided.columns] == [("guidance", 0), ("guidance", 2)]
    assert found == [("plain", 16, 7), ("wide, long", 32, 9)] and section.varied == ()


def test_lists_are_crossed_and_equal_models_come_once():
    spec = parsed("""
datasets = "moons"
timesteps = [10, 20]
schedule = ["linear", "cosine"]
beta_range = [[1e-4, 0.02], [1e-3, 0.1]]
""")
    (section,) = spec.sections
    assert section.name == "my" and section.varied == ("timesteps", "schedule", "beta_range")
    # Cosine has no beta range: 2 x (2 linear + 1 cosine).
    assert [c.label for c in section.columns] == [
        "10, linear, 1e-4..0.02", "10, linear, 1e-3..0.1", "10, cosine, –",
        "20, linear, 1e-4..0.02", "20, linear, 1e-3..0.1", "20, cosine, –",
    ]  # fmt: skip


def test_sections_inherit_and_override():
    spec = parsed("""
datasets = ["moons", "helix"]
epochs = 7
[sections.a]
timesteps = 5
[sections.b]
datasets = "blobs"
epochs = 9
""")
    a, b = spec.sections
    assert a.datasets == ("moons", "helix") and b.datasets == ("blobs",)
    assert (a.columns[0].settings.epochs, b.columns[0].settings.epochs) == (7, 9)
    assert (a.columns[0].settings.timesteps, b.columns[0].settings.timesteps) == (5, 200)


def test_json_round_trip():
    spec = load_spec("report")
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec


def test_overrides():
    spec = load_spec("report").only(["schedule"]).with_epochs(3).with_seeds(4)
    assert [section.name for section in spec.sections] == ["schedule"] and spec.seeds == 4
    assert {column.settings.epochs for section in spec.sections for column in section.columns} == {3}


GOOD = 'datasets = ["moons"]\n'
VARIANTS = GOOD + "[sections.a.variants.b]\n"
MISTAKES = {
    "misspelt key": (GOOD + "\ntimestep = 5", "timestep: unknown key; did you mean 'timesteps'"),
    "misspelt in section": (
        GOOD + "[sections.a]\nepoch = 5",
        "sections.a.epoch: unknown key; did you mean 'epochs'",
    ),
    "unknown set": ('datasets = ["moon"]', "datasets: unknown set 'moon': choose from moons, circles"),
    "missing file": ('datasets = "rows.npy"', "datasets: there is no file .*rows.npy"),
    "no set": ("timesteps = 5", "datasets: is missing: name point sets"),
    "same names": (
        'datasets = ["a/moons.npy", "moons"]', "there is no file",
    ),
    "variants and a list": (
        GOOD + "timesteps = [5, 6]\n[sections.a.variants.b]",
        "timesteps: is a list of values, which a section of variants",
    ),
    "no variants": (GOOD + "[sections.a]\nvariants = 5", "sections.a.variants: must be tables of settings"),
    "unknown key in a variant": (VARIANTS + "widths = 5", "sections.a.variants.b.widths: unknown key; did you"),
    "a list in a variant": (VARIANTS + "width = [5, 6]", r"variants.b.width: \[5, 6\] must be an integer"),
    "equal variants": (
        VARIANTS + "[sections.a.variants.c]\nwidth = 128", "sections.a.variants.c: has the same settings as 'b'",
    ),
    "guidance without classes": (
        VARIANTS + "[sections.a.variants.c]\nguidance = 2", "holds plain rows, rows of classes or classifiers",
    ),
    "name of a variant": (GOOD + "[sections.a.variants.\"a|b\"]", r"'a\|b' must be a text without"),
    "reference for variants": (
        GOOD + "[sections.a]\nreference = \"r.csv\"\n[sections.a.variants.b]", "a section of variants has none",
    ),
    "a list without effect": (
        GOOD + "[sections.a]\np_uncond = [0.1, 0.2]", "sections.a.p_uncond: is a list, but has no effect",
    ),
    "few held out": (GOOD + "n_held_out = 5", "n_held_out: 5 must be 0 or an integer from 10 to 1,000,000"),
    "decay a number": (GOOD + "decay = 1", "decay: 1 must be true or false"),
    "T of 0": (GOOD + "timesteps = 0", "timesteps: 0 must be an integer from 2 to 100,000"),
    "T of 2.5": (GOOD + "timesteps = 2.5", r"timesteps: 2\.5 must be an integer"),
    "T in a list": (GOOD + "timesteps = [5, -1]", "timesteps: -1 must be an integer"),
    "T a truth": (GOOD + "timesteps = true", "timesteps: True must be an integer"),
    "empty list": (GOOD + "timesteps = []", "timesteps: is an empty list"),
    "beta with three values": (GOOD + "beta_range = [1, 2, 3]", r"beta_range: \[1, 2, 3\] must be a pair"),
    "beta reversed": (GOOD + "beta_range = [0.2, 0.1]", "0 < beta_start <= beta_end < 1"),
    "beta pair as text": (GOOD + 'beta_range = ["a", "b"]', "must be a pair"),
    "schedule": (GOOD + 'schedule = "sine"', "schedule: 'sine' must be one of 'linear', 'cosine', 'sigmoid'"),
    "variance": (GOOD + 'variance = "both"', "must be one of 'posterior', 'beta'"),
    "rate": (GOOD + "learning_rate = 0", "learning_rate: 0 must be a number above 0"),
    "embedding": (GOOD + "time_embedding = 5", "must be an even integer from 4"),
    "seeds": ("seeds = 0\n" + GOOD, "seeds: 0 must be an integer from 1"),
    "title": ("title = 3\n" + GOOD, "title: 3 must be a text of at most 1,000 characters"),
    "sections not tables": (GOOD + "sections = 3", "sections: must be tables"),
    "section not a table": (GOOD + "[sections]\na = 3", "sections.a: must be a table"),
    "section name": (GOOD + '[sections."a/b"]', "sections.a/b: 'a/b' must be at most 100 letters, digits, - and _"),
    "reference missing": (GOOD + '[sections.a]\nreference = "none.csv"', "sections.a.reference: .*none.csv"),
    "not TOML": ("datasets = [", r"my.toml: .*\(at end of document\)|Invalid"),
    "twice": (GOOD + GOOD, r"Cannot overwrite a value \(at line 2"),
}  # fmt: skip


@pytest.mark.parametrize("text,message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_reported_in_one_line_with_location_and_remedy(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        parsed(text)
    assert "\n" not in str(caught.value) and "my.toml" in str(caught.value)


@pytest.mark.parametrize(
    "columns",
    [
        "epochs = [10, 50]",
        "epochs = [10, 50]\nwidth = [8, 16]",
        "[sections.a.variants.few]\nepochs = 9\n[sections.a.variants.b]",
    ],
)
def test_epochs_that_vary_have_no_other_number(columns):
    spec = parsed(f'datasets = "moons"\n[sections.a]\n{columns}\n[sections.b]\n')
    with pytest.raises(SpecError, match="my: --epochs = 2: epochs is what section a varies"):
        spec.with_epochs(2)
    assert spec.only(["b"]).with_epochs(2).sections[0].columns[0].settings.epochs == 2


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "rows.npy", np.zeros((3, 2)))
    with pytest.raises(SpecError, match=r"my: the data sets '.*a/rows\.npy' and '.*b/rows\.npy' have the same"):
        parsed('datasets = ["a/rows.npy", "b/rows.npy"]', tmp_path)


@pytest.mark.parametrize(
    "first,second", [("a/rows.npy", "b/rows.npy"), ("a/rows.npy", "b/ROWS.csv"), ("moons", "moons.npy")]
)
def test_sets_of_one_name_in_two_sections_are_refused(tmp_path, first, second):
    for name in (first, second):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    text = f'[sections.one]\ndatasets = "{first}"\n[sections.two]\ndatasets = '
    assert len(parsed(f'{text}"{first}"', tmp_path).sections) == 2
    with pytest.raises(SpecError, match=r"my: the data sets '.*' and '.*' have the same name: rename one") as caught:
        parsed(f'{text}"{second}"', tmp_path)
    assert "\n" not in str(caught.value)


def test_unknown_section_and_bad_overrides():
    spec = load_spec("report")
    with pytest.raises(SpecError, match="no section 'guide'; its sections are timesteps, beta_schedule, schedule"):
        spec.only(["guide"])
    with pytest.raises(SpecError, match="--epochs = 0: must be an integer from 1"):
        spec.with_epochs(0)
    with pytest.raises(SpecError, match="--seeds = -1: must be"):
        spec.with_seeds(-1)
    with pytest.raises(SpecError, match="there is no such file, and the built-in specs are report"):
        load_spec("repot")


BAD_REFERENCES = {
    "no column": ("dataset,metric,value\n", "has no column timesteps"),
    "not a number": ("dataset,metric,timesteps,value\nmoons,EMD,5,high\n", "line 2: 'high' is not a number"),
    "a tiny exponent": ("dataset,metric,timesteps,value\nmoons,EMD,5,1e-999\n", "line 2: .* at most 30 decimal places"),
    "a huge exponent": (f"dataset,metric,timesteps,value\nmoons,EMD,5,1e{'9' * 30}\n", "line 2: '1e9+' is not a num"),
    "not finite": ("dataset,metric,timesteps,value\nmoons,EMD,5,nan\n", "line 2: a reported number must be one of at"),
    "empty": ("", "has no column dataset, metric, timesteps, value"),
    "too few values": ("dataset,metric,timesteps,value\nmoons,EMD\n", "line 2: has too few values"),
    "NaN": ("dataset,metric,timesteps,value\nmoons,EMD,5,nan\n", "line 2: a reported number must be one of at most"),
    "many decimals": (f"dataset,metric,timesteps,value\nmoons,EMD,5,0.{'1' * 31}\n", "line 2: .* at most 30 decimal"),
    "a long name": (f"dataset,metric,timesteps,value\n{'a' * 1001},EMD,5,1\n", "line 2: a text of at most 1,000"),
    "a long field": (f"dataset,metric,timesteps,value\n{'a' * 200_000},EMD,5,1\n", "r.csv, line 1: field larger"),
    "too large": ("#" * (2**20 + 1), "r.csv: is larger than 1 MiB"),
    "unknown metric": ("dataset,metric,timesteps,value\nmoons,EMDs,5,3\n", "has no metric 'EMDs': metrics are emd,"),
    "of no set": (
        "dataset,metric,timesteps,value\nmoon,EMD,5,3\n",
        "has no data set of the section; its data sets are moons",
    ),
    "a second number": (
        "dataset,metric,timesteps,value\nmoons,EMD,5,30\nmoons,EMD,5.0,31\n",
        "line 3: is a second number for moons, EMD, 5",
    ),
    "unknown setting": (
        "dataset,metric,timesteps,value\nmoons,EMD,7,30\n",
        "no line has one of the section's settings",
    ),
}


@pytest.mark.parametrize("content,message", BAD_REFERENCES.values(), ids=BAD_REFERENCES)
def test_bad_reference_files(tmp_path, content, message):
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(SpecError, match=message):
        parsed(GOOD + '[sections.a]\ntimesteps = [5, 6]\nreference = "r.csv"', tmp_path)


@pytest.mark.parametrize(
    "number,value,decimals",
    [("1e-05", 1e-5, 5), ("1.50E-3", 1.5e-3, 5), ("1.5e3", 1500.0, 0), ("30.50 ", 30.5, 2), ("-2", -2.0, 0)],
)
def test_reported_numbers_keep_their_decimals(tmp_path, number, value, decimals):
    (tmp_path / "r.csv").write_text(f"dataset,metric,timesteps,value\nmoons,EMD,5,{number}\n")
    spec = parsed(f'timesteps = 5\n{GOOD}[sections.a]\ntimesteps = [5, 9]\nreference = "r.csv"', tmp_path)
    (found,) = spec.sections[0].reference
    assert (found.value, found.decimals) == (value, decimals)


def test_reported_numbers_of_a_single_setting_need_no_column_of_it(tmp_path):
    (tmp_path / "r.csv").write_text("dataset,metric,value\nmoons,EMD,30\n", encoding="utf-8-sig")
    (found,) = parsed(GOOD + '[sections.a]\ntimesteps = 5\nreference = "r.csv"', tmp_path).sections[0].reference
    assert found.value == 30


def test_reported_numbers_of_other_settings_are_left_out(tmp_path):
    """Includes settings that the section does not vary."""
    (tmp_path / "r.csv").write_text("dataset,metric,timesteps,value\nmoons,EMD,5,30\nmoons,EMD,9,40\n")
    (found,) = parsed(GOOD + '[sections.a]\ntimesteps = [5]\nreference = "r.csv"', tmp_path).sections[0].reference
    assert found.value == 30
    (tmp_path / "s.csv").write_text(
        "dataset,metric,timesteps,schedule,value\nmoons,EMD,5,linear,30\nmoons,EMD,5,cosine,40\nmoons,EMD,9,cosine,50\n"
    )
    text = GOOD + '[sections.a]\nschedule = "cosine"\ntimesteps = [5, 9]\nreference = "s.csv"'
    assert [each.value for each in parsed(text, tmp_path).sections[0].reference] == [40, 50]
    (tmp_path / "s.csv").write_text("dataset,metric,timesteps,schedule,variance,value\nmoons,EMD,5,,beta,30\n")
    assert [each.value for each in parsed(text, tmp_path).sections[0].reference] == [30]


def test_reference_values_match_columns_by_number(tmp_path):
    (tmp_path / "r.csv").write_text("dataset,metric,beta_range,value\nmoons,EMD,1e-4..2e-2,30.5\nmoons,EMD,1..2,3\n")
    text = GOOD + '[sections.a]\nbeta_range = [[1e-4, 0.02], [1e-3, 0.2]]\nreference = "r.csv"'
    (reference,) = parsed(text, tmp_path).sections[0].reference
    assert (reference.column, reference.value, reference.decimals) == ("1e-4..0.02", 30.5, 1)


TOO_MUCH = {
    "nested lists": ("x = " + "[" * 100_000, "nested too deeply"),
    "nested tables": ("x = " + "{a=" * 100_000, "nested too deeply"),
    "an integer with 5,000 digits": (GOOD + "timesteps = " + "1" * 5000, "my.toml: Exceeds the limit"),
    "an integer with 20,000 bits": (GOOD + "timesteps = 0x" + "f" * 5000, "a very large int must be an integer"),
    "many settings": (
        GOOD + f"timesteps = {[*range(2, 201)]}\nwidth = {[*range(1, 200)]}", "width: the lists make more than 10,000",
    ),
    "many sections": (
        GOOD + f"timesteps = {[*range(2, 2001)]}\n" + "".join(f"[sections.s{i}]\n" for i in range(2000)),
        "s5.timesteps: the lists make more than 10,000 settings",
    ),
    "many cells": (
        GOOD + f"seeds = 1000\ntimesteps = {[*range(2, 301)]}", "make 299,000 cells, more than 200,000",
    ),
    "section names but for case": (GOOD + "[sections.a]\n[sections.A]", "my: files of .a. and of .A. would"),
    "a long title": (GOOD + f'title = "{"a" * 1001}"', "title: 'a*… must be a text of at most 1,000 characters"),
    "a long section name": (GOOD + f"[sections.{'a' * 101}]", "must be at most 100 letters"),
    "a long key": (f"{'a' * 100_000} = 1", "a: unknown key"),
    "an escape sequence in a key": ('"\\u001b[31m" = 1', r"my.toml: \\x1b\[31m: unknown key"),
    "an escape sequence in a value": ('datasets = "\\u001b[31m"', r"unknown set '\\x1b\[31m'"),
    "an escape sequence in a label": (
        VARIANTS + '[sections.a.variants."\\u001b[31m"]', r"'\\x1b.* must be a text without",
    ),
    "a name with a zero": ('datasets = "\\u0000.npy"', "datasets: embedded null byte"),
}  # fmt: skip


@pytest.mark.parametrize("text,message", TOO_MUCH.values(), ids=TOO_MUCH)
def test_excessive_specs_are_refused_in_one_short_line(text, message):
    with pytest.raises(SpecError, match=message) as caught:
        parsed(text)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_names_that_make_a_long_name_together(tmp_path):
    name = "a" * 150
    np.save(tmp_path / f"{name}.npy", np.zeros((3, 2)))
    with pytest.raises(SpecError, match="too long to name a file"):
        parsed(f'datasets = "{name}.npy"\n[sections.{"b" * 60}]', tmp_path)


def test_a_section_may_have_a_note():
    text = 'datasets = "moons"\n[sections.a]\nnote = "Read this."\n[sections.b]\n'
    spec = parsed(text)
    assert [section.note for section in spec.sections] == ["Read this.", ""]
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec
    with pytest.raises(SpecError, match=r"sections\.a\.note: 3 must be a text of at most 1,000 characters"):
        parsed(text.replace('"Read this."', "3"))


def test_overrides_keep_to_the_number_of_cells():
    spec = load_spec("report").with_seeds(1000)
    with pytest.raises(SpecError, match="make 270,000 cells, more than 200,000"):
        replace(spec, sections=spec.sections * 2)


def test_files_that_are_too_large_or_special_are_refused(tmp_path):
    path = tmp_path / "big.toml"
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(SpecError, match=r"big\.toml: is larger than 1 MiB"):
        load_spec(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(SpecError, match=r"big\.toml: is not a UTF-8 text file"):
        load_spec(str(path))
    os.mkfifo(tmp_path / "pipe.npy")
    for name in (tmp_path / "pipe.npy", "/dev/zero"):
        with pytest.raises(OSError, match="is a pipe or a device, not a regular file"):
            load_spec(str(name))
        with pytest.raises(SpecError, match=r"sections\.a\.reference: .* is a pipe or a device"):
            parsed(GOOD + f'[sections.a]\nreference = "{name}"', tmp_path)
    with pytest.raises(SpecError, match=r"datasets: .*pipe\.npy: is a pipe or a device"):
        parsed('datasets = "pipe.npy"', tmp_path)


def test_every_valid_spec_is_accepted_from_a_store(tmp_path):
    (tmp_path / "r.csv").write_text("dataset,metric,timesteps,value\nmoons,EMD,5,1.5\n")
    text = (
        'title = "[/b] $x$ | \\u001b"\n'
        + GOOD
        + """
[sections.a]
timesteps = [5, 6]
reference = "r.csv"
[sections.b]
schedule = ["linear", "cosine"]
sampler = ["ancestral", "ddim"]
beta_range = [[1e-4, 0.02], [1e-3, 0.1]]
[sections.c]
guidance = [0, 1]
[sections.d]
classifier = ["knn_100", "mlp_100_50", "elbo", "exact"]
[sections.e]
method = ["svdd_pm", "feynman_kac"]
[sections.f.variants."ε, wide"]
n_held_out = 0
"""
    )
    spec = parsed(text, tmp_path)
    assert from_json(json.loads(json.dumps(to_json(spec)))) == spec
