"""Checks that the estimator and the commands offer and refuse what the parameters declare."""

import inspect
import math

import numpy as np
import pytest

from pointillist import Diffusion
from pointillist.columns.scaling import SCALINGS
from pointillist.columns.table_encoder import MISSING
from pointillist.diffusion.parameterizations import PREDICTIONS, WEIGHTINGS
from pointillist.estimators import REPORT
from pointillist.models.configuration import PARAMETERS, Configuration, SamplingConfig, values_of
from pointillist.models.gaussian import STEERING
from pointillist.models.parameters import parameters_of
from pointillist.models.request import Request
from pointillist.study.settings import CHECKS, Settings

ALL = PARAMETERS | parameters_of(SamplingConfig)
KNOWN = {
    "scaling": SCALINGS, "prediction": PREDICTIONS, "weighting": WEIGHTINGS,
    "noise_levels": ("uniform", "log-normal"), "variance": ("posterior", "beta"), "precision": ("float32", "bfloat16"),
    "missing": MISSING, "steering": STEERING, "process": ("auto", "gaussian", "masked"),
}  # fmt: skip


def test_choices_match_the_registries():
    declared = {name: {*each.choices} for name, each in ALL.items() if each.choices}
    # Schedules, samplers and networks are read from their registries.
    assert declared == {name: {*known} for name, known in KNOWN.items()} | {
        name: declared[name] for name in ("schedule", "sampler", "network")
    }


def outside(each):
    """Returns values just outside the declared range of a parameter, and of other types."""
    wrong = ["text", [1], float("nan"), 10**400]
    wrong += [] if type(None) in each.types else [None]
    wrong += [math.nextafter(end, -math.inf) for end in (each.low,) if end is not None and float in each.types]
    wrong += [math.nextafter(end, math.inf) for end in (each.high,) if end is not None and float in each.types]
    wrong += [each.low - 1] if each.low is not None and int in each.types else []
    wrong += [each.high + 1] if each.high is not None and int in each.types else []
    wrong += [end for end in (each.above, each.below) if end is not None]
    wrong += [each.low + 1] if each.is_even else []
    wrong += [1.5, True] if int in each.types and bool not in each.types else []
    return [value for value in wrong if not (value == 10**400 and each.types[0] is int and each.high is None)]


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("random_state", "verbose")])
def test_a_forbidden_value_is_refused_in_one_line_with_the_allowed_ones(name):
    each = ALL[name]
    kind = Configuration if name in PARAMETERS else SamplingConfig
    for value in outside(each):
        with pytest.raises(ValueError, match=f"^{name} must be ") as caught:
            kind(**{name: value})
        assert "\n" not in str(caught.value) and each.allowed in str(caught.value) and len(str(caught.value)) < 300


def test_values_at_the_ends_of_ranges_are_converted_to_python_types():
    for name, each in ALL.items():
        kind = Configuration if name in PARAMETERS else SamplingConfig
        ends = [end for end in (each.low, each.high) if end is not None]
        for value in [*ends, *map(np.float64 if float in each.types else np.int64, ends)]:
            kept = getattr(kind(**{name: value}), name)
            assert kept == value and type(kept) is each.types[0], name
    assert Configuration(decay=np.False_).decay is False


def test_the_estimator_offers_the_declared_parameters():
    assert {name: each.default for name, each in inspect.signature(Diffusion).parameters.items()} == {
        name: each.default for name, each in PARAMETERS.items()
    }
    assert Diffusion().get_params() == values_of(Configuration())
    model = Diffusion(width=-1).set_params(depth=-1)
    model.timesteps = 0
    assert (model.width, model.depth, model.timesteps) == (-1, -1, 0)
    text = inspect.getdoc(Diffusion)
    for name, each in PARAMETERS.items():
        (entry,) = [line for line in text.splitlines() if line.startswith(f"    {name}: ")]
        assert entry.removeprefix(f"    {name}: ").startswith(each.help[:40])


def test_rows_are_drawn_with_the_declared_parameters():
    drawn, request = (inspect.signature(each).parameters for each in (Diffusion.sample, Request))
    for name, each in parameters_of(SamplingConfig).items():
        assert drawn[name].default == request[name].default == each.default
        assert f"    {name}: {each.help[:20]}" in Diffusion.sample.__doc__


@pytest.mark.parametrize(("command", "kind"), [("fit", Configuration), ("sample", SamplingConfig)])
def test_commands_offer_the_declared_parameters(command, kind):
    from typer.main import get_command

    from pointillist.cli import app

    found = {option.name: option for option in get_command(app).commands[command].params}
    declared = [each for each in parameters_of(kind).values() if each.is_option]
    assert len(declared) > 5
    for each in declared:
        option = found[each.name]
        assert option.opts == [f"--{each.name.replace('_', '-')}"] and option.help == each.help
        assert option.default == each.default


def test_studies_have_the_published_recipe_by_default():
    shared = {name: value for name, value in REPORT.items() if name in CHECKS}
    assert len(shared) > 15 and {name: getattr(Settings(), name) for name in shared} == shared
