"""The configuration of a model: every parameter of the user, declared once.

The estimator, the command line, studies and the reference read these declarations. Choices are text here, because the
modules that implement them load JAX.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pointillist.diffusion.registries import NETWORKS, SAMPLERS, SCHEDULES, TOKEN_NETWORKS
from pointillist.models.parameters import Checked, parameter, parameters_of

if TYPE_CHECKING:
    from pointillist.arguments import RandomState
else:
    # --help must not load NumPy.
    RandomState = Any

_noise_parameter = partial(parameter, is_option=True, decides_network=True, is_gaussian_only=True)
_network_parameter = partial(parameter, decides_network=True, is_gaussian_only=True)


# fmt: off
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NoiseConfig(Checked):
    """Scaling and noising of numeric columns."""

    timesteps: int = _noise_parameter(200, "T, the number of noise levels of the schedule.", low=2, high=100_000)
    schedule: str = _noise_parameter(
        "cosine", "Noise schedule.", choices=tuple(SCHEDULES),
        details='"cosine" (Nichol & Dhariwal 2021), "sigmoid" (Chen 2023) or "linear" (Ho et al. 2020).')
    beta_start: float = _noise_parameter(1e-4, "First beta of the linear schedule.", above=0, below=1)
    beta_end: float = _noise_parameter(0.02, "Last beta of the linear schedule, not below the first.", above=0, below=1)
    scaling: str | None = _noise_parameter(
        "standard", "Scaling of numeric columns.", choices=("minmax", "standard", None),
        details='"minmax" maps the range of a column to [-1, 1]; "standard" gives it mean 0 and standard deviation 1; '
        "None keeps it. Constant columns are left out of the model and put back into new rows. For columns with long "
        'tails or repeated values, use process="masked".')


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NetworkConfig(Checked):
    """The network, its prediction target and its loss."""

    network: str = _network_parameter(
        "residual", "Kind of network.", choices=tuple(NETWORKS | TOKEN_NETWORKS),
        details='"residual" has blocks that the noise level modulates; "mlp" has ReLU layers that take it as an input.')
    prediction: str = _network_parameter(
        "edm", "Quantity that the network predicts.", choices=("eps", "v", "x0", "edm"),
        details='"edm" (preconditioned, Karras et al. 2022, table 1), "v" (Salimans & Ho 2022, arXiv 2202.00512), '
        '"eps" (the noise) or "x0" (the row).')
    weighting: str = parameter(
        "uniform", "Weighting of the loss.", choices=("uniform", "min-snr"), is_gaussian_only=True,
        details='"uniform", or "min-snr" (Hang et al. 2023, arXiv 2303.09556).')
    noise_levels: str = parameter(
        "log-normal", "Distribution of the noise levels in training.", choices=("uniform", "log-normal"),
        details='"log-normal" (Karras et al. 2022, table 1), or "uniform" over 1 … T.', is_gaussian_only=True)
    width: int | None = parameter(
        None, "Number of units of a hidden layer.", low=1, high=65_536, is_option=True, decides_network=True,
        unset="96, or 192 with given columns; 192 with mixed columns; there 256 with at most 2,000 rows, "
        'except with missing="unknown", missing cells and numbers')
    depth: int = parameter(3, "Number of hidden blocks.", low=1, high=1000, is_option=True, decides_network=True)
    frequencies: int | None = parameter(
        None, "Number of frequencies 1, 2, 4, … in the Fourier features of noised numbers, for mixed columns.",
        low=1, high=16, decides_network=True, unset="6; 2 for at most 2,000 rows",
        details="Higher frequencies resolve numbers that determine each other precisely.")
    time_embedding: int = _network_parameter(
        32, "Width of the embedding of the noise level.", low=4, high=65_536, is_even=True)
    class_embedding: int = _network_parameter(
        16, "Width of the embedding of the class.", low=4, high=65_536, is_even=True)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TrainingConfig(Checked):
    """Training of the network."""

    epochs: int | None = parameter(
        None, "Largest number of passes over the rows.", low=1, high=2**31 - 1, is_option=True,
        unset="enough for 10,000 steps, at most 400; depends on the kinds of mixed columns and their missing cells; "
        "chosen by held-out rows in small tables",
        details="Mixed columns without numbers get enough for 15,000 steps, at most 80 epochs (60 in tables of up to "
        "2,000 rows). With numbers they get enough for 12,000 steps, at most 225 epochs (150 in tables of up to 2,000 "
        "rows; 600 with missing cells and missing=\"unknown\"); networks with more than 683,000 weights "
        "take proportionally fewer steps, but at least 6,000. Tables of 1 to 128 mixed columns and 20 to 2,000 rows "
        "are trained on four fifths of the rows first. The model is then trained on all rows, for the number of epochs "
        "with the lowest held-out loss, from that limit to three times it. Numbers with unknown cells, in up to 10,000 "
        "rows, are trained for three times that number instead, from 150 to 600 epochs. By default, the network of "
        "numbers given observed ones is then trained further, in tables of 500 to 10,000 rows: for 1,500 steps per "
        "number, but at most 1,000,000 examples.")
    max_minutes: float | None = parameter(
        None, "Most minutes that `fit` may take.", above=0, high=1e6, unset="no limit",
        details="The speed is measured first. Then the number of epochs and the width are chosen, and the trials that "
        "would take too long are left out, with a warning. `len(history_)` is the number of epochs: pass it as "
        "`epochs` to repeat the fit on another machine. Not for private fits, and without a checkpoint.")
    batch_size: int | None = parameter(
        None, "Number of rows in a step; all rows if the table has fewer.", low=1, is_option=True,
        unset="64; with mixed columns a sixteenth of the rows (up to 2,000 rows: an eighth, rounded down to a power "
        "of two), from 8 to 256, or to 512 with numbers among them")
    learning_rate: float | None = parameter(
        None, "Adam's learning rate.", above=0, high=1, is_option=True,
        unset="0.001; with numbers among mixed columns and no unknown cells, 0.003 times the square root of "
        "batch_size / 512, if larger")
    warmup: int = parameter(
        200, "Number of steps over which the learning rate rises from 0.", low=0,
        details="It takes at most a tenth of all steps.")
    decay: bool = parameter(True, "Whether the learning rate then falls to 0 along half a cosine.")
    averaging: float = parameter(
        0.999, "Fraction of itself that a running average of the weights keeps in each step.", low=0, below=1,
        details="The averaged network is the one that training ends with; 0 turns averaging off.")
    weight_decay: float = parameter(
        0.0, "Weight decay of Adam (AdamW).", low=0, high=1000,
        details="Each step takes this fraction, times the learning rate, away from all weights except biases "
        "(Loshchilov & Hutter 2019, arXiv 1711.05101).")
    gradient_clip: float | None = parameter(None, "Largest norm of the gradient.", above=0, unset="no limit")
    precision: str = parameter(
        "float32", "Precision of the network's products in training; weights stay float32.",
        choices=("float32", "bfloat16"))
    early_stopping: bool = parameter(
        False, "Hold out rows, and stop when their loss stops falling.", is_option=True,
        details="The weights with the lowest held-out loss are kept.")
    validation_fraction: float = parameter(
        0.1, "Fraction of the rows to hold out, up to 10,000 rows.", above=0, below=1)
    n_iter_no_change: int = parameter(
        10, "Number of checks without a lower held-out loss after which training stops.", low=1,
        details="A check follows every 500 steps, or every epoch if an epoch has more.")
    p_uncond: float = parameter(
        0.2, "Fraction of the training rows whose label is hidden.", low=0, high=1, is_option=True,
        decides_network=True, details="Guidance needs it above 0.")
    p_given: float = _noise_parameter(
        0.2, "Fraction of training rows in which some numbers are observed without noise.", low=0, high=1,
        details="They are chosen at random. `where`, `impute` and `conditional` need it above 0. Only Gaussian "
        'diffusion with network="residual" uses it; private fits do not.')


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ProcessConfig(Checked):
    """The kind of diffusion, and its treatment of missing cells."""

    variance: str = parameter(
        "posterior", "Variance of the ancestral sampler's noise.", choices=("posterior", "beta"), is_gaussian_only=True)
    process: str = parameter(
        "auto", "Kind of diffusion; masked suits long tails.", choices=("auto", "gaussian", "masked"), is_option=True,
        decides_network=True,
        details='"gaussian" noises numbers. "masked" masks tokens (`pointillist.diffusion.tokens`), for columns of any '
        "kind; it uses only `verbose`, `random_state`, `width`, `depth` and the parameters from `epochs` to "
        '`n_iter_no_change`. "auto" decides by the contents of the columns, not by the container: it chooses Gaussian '
        "diffusion for tables of numbers and booleans without missing cells or repeated values, and masked diffusion "
        "for all others, arrays included. Values count as repeated if the table has at least 200 rows and, in some "
        "column, more than 5 % of the cells hold values that many rows share, unless a parameter is set that only "
        "Gaussian diffusion uses.")
    missing: str = parameter(
        "value", "Meaning of missing cells: one more value of the column, or unknown values that are never drawn.",
        choices=("value", "unknown"), is_option=True,
        details='With "value", new rows have missing cells as often as training rows, depending on the other columns. '
        'With "unknown", missing cells are neither learned nor drawn, so new rows have none. This assumes that cells '
        "are missing completely at random: the dependence between numbers is learned from the rows that have them. "
        'It needs masked diffusion, which "auto" chooses for tables with missing cells; labels may not be missing.')


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PrivacyConfig(Checked):
    """The guarantee of a differentially private fit, and the public domain of the table."""

    epsilon: float | None = parameter(
        None, "ε of a differentially private fit, for tables that differ by one added or removed row.", above=0,
        is_option=True, unset="a fit without a guarantee",
        details="A private fit needs `pointillist[privacy]` and a `domain`. Its training parameters are "
        "`epochs`, `batch_size`, `learning_rate`, `warmup`, `averaging` and `gradient_clip` (the largest norm of a "
        "row's gradient), with other defaults. Tables of floats in ranges get Gaussian diffusion, and all others "
        "masked diffusion, whose numbers have tokens by intervals.")
    delta: float | None = parameter(
        None, "δ of a private fit.", above=0, below=1, is_option=True, unset="1 / (10 × a noisy number of rows)")
    domain: dict[Any, Any] | None = parameter(
        None, "Public domain of each column of a private fit, by name, or by index in an array.",
        details="A tuple (low, high), or a list of all values; None in it allows missing cells. Boolean columns need "
        "none. Cells outside the domain are moved into it. `fit` does not learn domains from the rows, because the "
        "guarantee would not cover that.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Configuration(PrivacyConfig, ProcessConfig, TrainingConfig, NetworkConfig, NoiseConfig):
    """All parameters of a model; `Diffusion` describes each of them."""

    rules: list[Any] | None = parameter(
        None, "Rules that every row obeys, from `pointillist.rules`.", unset="the rules that `fit` finds in the rows",
        details="Rules that `fit` finds are kept too, except those that `rules.ignore` excludes. Training "
        "rows that break a rule are refused, unless its `on_violation` says otherwise. Rules need masked diffusion, "
        'which "auto" chooses. `rules.unique` and `rules.personal` declare columns that are generated rather than '
        "learned, for every process. Private fits take no other rules.")
    verbose: bool | int | None = parameter(
        None, "Whether `fit` shows a progress bar.", unset="yes in a terminal or notebook, no elsewhere")
    random_state: RandomState = parameter(
        None, "Seed of `fit`.",
        details="With `epsilon`, None takes all noise from the system's entropy. A seed is for tests: whoever knows "
        "it, or guesses one of 2³², can remove the noise. Model files do not store it.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.missing == "unknown" and self.process == "gaussian":
            raise ValueError("missing='unknown' needs masked diffusion: leave process='gaussian' out")
        if self.epsilon is None and (self.delta is not None or self.domain is not None):
            raise ValueError("delta and domain need a private fit: give epsilon too")
        has_row_rules = any(each.is_of_rows for each in self.rules or ())
        if has_row_rules and self.process == "gaussian":
            raise ValueError("rules need masked diffusion: leave process='gaussian' out")
        if has_row_rules and self.epsilon is not None:
            raise ValueError(
                "rules are not for private fits, which may not compare rows with them: leave out all but rules.unique "
                "and rules.personal"
            )


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(Checked):
    """Sampling of rows."""

    guidance: float = parameter(
        0.0, "Strength w of guidance towards the class; 0 is plain conditional sampling.", low=0, high=3e38,
        is_option=True, details="The guided noise is ε = (1 + w) ε(x, y) - w ε(x, no class).")
    sampler: str | None = parameter(
        None, "Sampler of numbers.", choices=tuple(SAMPLERS),
        is_option=True, unset="dpm; ancestral with a reward; dpm-sde for ranges and with tokens",
        details='"dpm" and "dpm-sde" are DPM-Solver++(2M) without and with noise (Lu et al. 2022, arXiv 2211.01095); '
        '"heun" is from Karras et al. 2022, arXiv 2206.00364; "ddim" is from Song et al. 2020, arXiv 2010.02502, '
        'with eta = 0, so without noise; "ancestral" is algorithm 2 of Ho et al. 2020.')
    steps: int | None = parameter(
        None, "Number of sampling steps.", low=1, is_option=True,
        unset="20 for dpm and dpm-sde (60 for ranges and with tokens), 11 for heun, T for ddim and ancestral",
        details='"ancestral" and "ddim" take at most T steps, the others at least 2. A step is one evaluation of the '
        'network, or two for "heun" except in the last step.')
    deterministic: bool = parameter(
        False, "Add no noise while sampling.", is_option=True,
        details="With the ancestral sampler, x_T then decides the rows.")
    reward_temperature: float = parameter(
        0.1, "Divisor of the reward: lower temperatures follow the reward more strictly.", low=0, is_option=True,
        details='0 keeps the best candidates ("svdd_pm" only).')
    candidates: int = parameter(
        10, "Number of candidates per row and step, with a reward.", low=1, is_option=True,
        details="Each candidate costs an evaluation of the network.")
    start: int = parameter(
        0, "Number of keys that earlier rows have used up, so that the new rows get the next ones.", low=0,
        is_option=True)
    steering: str = parameter(
        "svdd_pm", "Steering method of the reward.", choices=("svdd_pm", "feynman_kac"), is_option=True,
        details='"svdd_pm" draws rows that are independent of each other, a biased sample of the target; "feynman_kac" '
        "draws populations whose rows share ancestors, and is exact in the limit of large populations.")


# fmt: on

PARAMETERS = parameters_of(Configuration)
"""All parameters by name."""

NETWORK_PARAMETERS = tuple(name for name, each in PARAMETERS.items() if each.decides_network)
"""Parameters whose values a fitted model keeps, whatever they are set to later."""


def values_of(configuration: Configuration) -> dict[str, Any]:
    """Returns all values by name, in alphabetical order."""
    return {name: getattr(configuration, name) for name in sorted(PARAMETERS)}


def changed_gaussian_only(configuration: Configuration) -> list[str]:
    """Returns the parameters that only Gaussian diffusion uses and that differ from their defaults."""
    others = {*unused_betas(configuration), *(["network"] if configuration.network in TOKEN_NETWORKS else [])}
    names = [name for name, each in PARAMETERS.items() if each.is_gaussian_only and name not in others]
    return [name for name in names if getattr(configuration, name) != PARAMETERS[name].default]


def unused_betas(configuration: Configuration) -> list[str]:
    """Returns the betas that differ from their defaults although the schedule is not linear."""
    names = () if configuration.schedule == "linear" else ("beta_start", "beta_end")
    return [name for name in names if getattr(configuration, name) != PARAMETERS[name].default]


def network_parameters(configuration: Configuration, width: int, frequencies: int = 1) -> dict[str, Any]:
    """Returns the parameters that a fitted model keeps, with defaults for None."""
    values = {name: getattr(configuration, name) for name in NETWORK_PARAMETERS}
    if configuration.network == "mlp" or configuration.epsilon is not None:
        values["p_given"] = 0.0
    return values | {"width": configuration.width or width, "frequencies": configuration.frequencies or frequencies}


# fmt: off
REPORT: dict[str, Any] = {
    "timesteps": 200, "schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, "scaling": "minmax",
    "network": "mlp", "prediction": "eps", "weighting": "uniform", "noise_levels": "uniform",
    "width": 128, "depth": 5, "time_embedding": 16, "epochs": 100, "batch_size": 64, "learning_rate": 1e-3,
    "warmup": 0, "decay": False, "averaging": 0.0, "p_given": 0.0, "variance": "beta",
}
# fmt: on
"""`Diffusion(**REPORT)` is the plain DDPM of the published study, whose sampler is "ancestral"."""
