"""The configuration of a model: every parameter that a user may choose, declared once.

The estimator, the command line, studies and the reference read the declarations. The choices are text here, as modules
that implement them load JAX.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pointillist.models.parameters import Checked, parameter, parameters_of

if TYPE_CHECKING:
    from pointillist.arguments import RandomState
else:
    # NumPy is not loaded for --help.
    RandomState = Any

_noise_parameter = partial(parameter, is_option=True, decides_network=True, is_gaussian_only=True)
_network_parameter = partial(parameter, decides_network=True, is_gaussian_only=True)


# fmt: off
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NoiseConfig(Checked):
    """How columns of numbers are scaled and noised."""

    timesteps: int = _noise_parameter(200, "T, the number of noise levels of the schedule.", low=1, high=100_000)
    schedule: str = _noise_parameter(
        "cosine", "Noise schedule.", choices=("linear", "cosine", "sigmoid"),
        details='"cosine" (Nichol & Dhariwal 2021), "sigmoid" (Chen 2023) or "linear" (Ho et al. 2020).')
    beta_start: float = _noise_parameter(1e-4, "First beta of the linear schedule.", above=0, below=1)
    beta_end: float = _noise_parameter(0.02, "Last beta of the linear schedule, not below the first.", above=0, below=1)
    scaling: str | None = _noise_parameter(
        "standard", "How columns of numbers are scaled.", choices=("minmax", "standard", "quantile", None),
        details='"minmax" maps the range of a column to [-1, 1]; "standard" gives it mean 0 and standard deviation 1; '
        '"quantile" makes it normal, for columns with long tails or repeated values; None leaves it as it is. Constant '
        "columns are left out of the model and put back into new rows.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NetworkConfig(Checked):
    """The network, what it predicts, and the loss of its predictions."""

    network: str = _network_parameter(
        "residual", "Kind of network.", choices=("mlp", "residual"),
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
        unset='96; 256 with mixed columns; 192 with missing="unknown", missing cells, numbers and at most 2,000 rows')
    depth: int = parameter(3, "Number of hidden blocks.", low=1, high=1000, is_option=True, decides_network=True)
    frequencies: int | None = parameter(
        None, "Number of frequencies 1, 2, 4, … of the Fourier features of noised numbers of mixed columns.",
        low=1, high=16, decides_network=True, unset="6; 2 for at most 2,000 rows",
        details="More of them show where numbers determine each other precisely.")
    time_embedding: int = _network_parameter(
        32, "Width of the embedding of the noise level.", low=4, high=65_536, is_even=True)
    class_embedding: int = _network_parameter(
        16, "Width of the embedding of the class.", low=4, high=65_536, is_even=True)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TrainingConfig(Checked):
    """How the network is trained."""

    epochs: int | None = parameter(
        None, "Most passes over the rows.", low=1, high=2**31 - 1, is_option=True,
        unset="as many as make 10,000 steps, at most 400; with mixed columns by their kinds and missing cells, and in "
        "small tables by held-out rows",
        details="With mixed columns these are at most 60, or as many as make 8,000 steps but at most 150 if there are "
        "numbers among them (4,000 to 8,000 steps, in inverse proportion to the weights of networks that have more "
        'than 1,025,000), or 600 if there are missing cells too, and missing="unknown". Without these, with 1 to 128 '
        "mixed columns and 20 to 2,000 rows, it is the number after which the loss of a held-out fifth of the rows is "
        "lowest, from that most to three times as many; the model is then trained anew on all rows.")
    batch_size: int | None = parameter(
        None, "Number of rows in a step; all rows if the table has fewer.", low=1, is_option=True,
        unset="64; with mixed columns a sixteenth of the rows, from 8 to 256, or to 512 with numbers among them; an "
        "eighth of the rows where the width is 192 by default")
    learning_rate: float | None = parameter(
        None, "Adam's learning rate.", above=0, high=1, is_option=True,
        unset="0.001; with numbers among mixed columns 0.003 times the root of batch_size / 512, if that is larger")
    warmup: int = parameter(
        200, "Number of steps over which the learning rate rises from 0.", low=0,
        details="At most a tenth of all steps are.")
    decay: bool = parameter(True, "Whether the learning rate then falls to 0 along half a cosine.")
    averaging: float = parameter(
        0.999, "Fraction of itself that a running average of the weights keeps in each step.", low=0, below=1,
        details="The averaged network is the one that training ends with; 0 turns averaging off.")
    gradient_clip: float | None = parameter(None, "Largest norm of the gradient.", above=0, unset="no limit")
    precision: str = parameter(
        "float32", "Precision of the network's products in training; weights stay float32.",
        choices=("float32", "bfloat16"))
    early_stopping: bool = parameter(
        False, "Hold out rows, and stop when their loss no longer falls.", is_option=True,
        details="The weights with the lowest held-out loss are kept.")
    validation_fraction: float = parameter(
        0.1, "Fraction of the rows to hold out, at most 10,000 rows.", above=0, below=1)
    n_iter_no_change: int = parameter(
        10, "Number of checks without a lower held-out loss after which training stops.", low=1,
        details="A check follows every 500 steps, or every epoch if an epoch has more.")
    warm_start: bool = parameter(
        False, "Whether `fit` continues from the weights and the scaling of the last `fit`, for `epochs` more.",
        details="Only for models of numbers.")
    p_uncond: float = parameter(
        0.2, "Fraction of the rows whose label is hidden in training.", low=0, high=1, is_option=True,
        decides_network=True, details="Guidance needs it above 0.")
    p_given: float = _noise_parameter(
        0.2, "Fraction of training rows in which some numbers are known without noise.", low=0, high=1,
        details="They are chosen at random. `where`, `impute` and `conditional` need it above 0. Only models of "
        'numbers with network="residual" use it; private fits do not.')


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ProcessConfig(Checked):
    """The kind of diffusion, and what it makes of missing cells."""

    variance: str = parameter(
        "posterior", "Variance of the ancestral sampler's noise.", choices=("posterior", "beta"), is_gaussian_only=True)
    process: str = parameter(
        "auto", "Kind of diffusion.", choices=("auto", "gaussian", "masked"), decides_network=True,
        details='"gaussian" is diffusion of numbers. "masked" is diffusion of tokens (`pointillist.diffusion.tokens`), '
        "for columns of any kind; besides `verbose` and `random_state` it uses only `width`, `depth` and the "
        'parameters from `epochs` to `n_iter_no_change`. "auto" looks at what the columns hold, not at the container: '
        "it chooses Gaussian diffusion for tables of numbers and booleans in which no cell is missing and values do "
        "not repeat, and masked diffusion for all others, arrays included. Values repeat if the table has at least 200 "
        "rows and, in some column, more than 5 % of the cells hold values that many rows share; they do not count if a "
        "parameter is set that only Gaussian diffusion uses.")
    missing: str = parameter(
        "value", "What a missing cell is: one more value of its column, or unknown and so never drawn.",
        choices=("value", "unknown"), is_option=True,
        details='New rows have "value" as often as the training rows, and it tells of the other columns. "unknown" is '
        "neither learned nor drawn, so that new rows have no missing cells. It assumes that cells are missing "
        "completely at random: what rows lack of several numbers is learned from the rows that have them. It needs "
        'masked diffusion, which "auto" takes for tables with missing cells; labels may not be missing.')


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PrivacyConfig(Checked):
    """The guarantee of a differentially private fit, and what is public of the table."""

    epsilon: float | None = parameter(
        None, "ε of a differentially private fit, for tables that differ in one added or removed row.", above=0,
        is_option=True, unset="a fit without a guarantee",
        details="A private fit needs `pointillist[privacy]` and a `domain`. Of the parameters of training, it uses "
        "`epochs`, `batch_size`, `learning_rate`, `warmup`, `averaging` and `gradient_clip` (the largest norm of a "
        "row's gradient), with other defaults. Tables of floats in ranges get Gaussian diffusion, and all others "
        "masked diffusion, whose numbers have tokens by intervals.")
    delta: float | None = parameter(
        None, "δ of a private fit.", above=0, below=1, is_option=True, unset="1 / (10 × a noisy number of rows)")
    domain: dict[Any, Any] | None = parameter(
        None, "What is public of each column of a private fit, by name, or by position in an array.",
        details="A tuple (low, high), or a list of all values; with None in it, cells may be missing. Columns of "
        "booleans need none. Cells outside are moved inside. `fit` learns none of this from the rows: they would not "
        "be covered.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Configuration(PrivacyConfig, ProcessConfig, TrainingConfig, NetworkConfig, NoiseConfig):
    """All parameters of a model; `Diffusion` describes each of them."""

    verbose: bool | int = parameter(False, "Whether `fit` shows a progress bar.")
    random_state: RandomState = parameter(
        None, "Seed of `fit`.",
        details="With `epsilon`, None takes all noise from the system's entropy. A seed is for tests: whoever knows "
        "it, or guesses one of 2³², can take the noise away. Model files do not hold it.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.missing == "unknown" and self.process == "gaussian":
            raise ValueError("missing='unknown' is for masked diffusion: leave process='gaussian' out")
        if self.epsilon is None and (self.delta is not None or self.domain is not None):
            raise ValueError("delta and domain are parts of a private fit: give epsilon too")



@dataclass(frozen=True, kw_only=True)
class SamplingConfig(Checked):
    """How rows are drawn from a model."""

    guidance: float = parameter(
        0.0, "Strength w of guidance towards the class; 0 is plain conditional sampling.", low=0, high=3e38,
        is_option=True, details="The guided noise is ε = (1 + w) ε(x, y) - w ε(x, no class).")
    sampler: str | None = parameter(
        None, "Sampler of the numbers of rows.", choices=("ancestral", "ddim", "dpm", "dpm-sde", "heun"),
        is_option=True, unset="dpm; ancestral with a reward or a single timestep; dpm-sde for ranges and with tokens",
        details='"dpm" and "dpm-sde" are DPM-Solver++(2M) without and with noise (Lu et al. 2022, arXiv 2211.01095); '
        '"heun" is that of Karras et al. 2022, arXiv 2206.00364; "ddim" that of Song et al. 2020, arXiv 2010.02502, '
        'with eta = 0, so without noise; "ancestral" is algorithm 2 of Ho et al. 2020.')
    steps: int | None = parameter(
        None, "Number of sampling steps.", low=1, is_option=True,
        unset="20 for dpm and dpm-sde (60 for ranges and with tokens), 11 for heun, T for ddim and ancestral",
        details='"ancestral" and "ddim" take at most T steps, the others at least 2. A step is one evaluation of the '
        'network; those of "heun" are two, except for the last.')
    deterministic: bool = parameter(
        False, "Add no noise while sampling.", is_option=True,
        details="With the ancestral sampler, x_T then decides the rows.")
    reward_temperature: float = parameter(
        0.1, "What the reward is divided by: the lower, the more strictly it is followed.", low=0, is_option=True,
        details='0 keeps the best candidates ("svdd_pm" only).')
    candidates: int = parameter(
        10, "Number of candidates for each row and step, with a reward.", low=1, is_option=True,
        details="Each is an evaluation of the network.")
    steering: str = parameter(
        "svdd_pm", "How a reward steers.", choices=("svdd_pm", "feynman_kac"), is_option=True,
        details='"svdd_pm" draws rows that are independent of each other, a biased sample of the target; "feynman_kac" '
        "draws rows of which those of one population share ancestors, exact in the limit of large populations.")


# fmt: on

PARAMETERS = parameters_of(Configuration)
"""All parameters by name."""

NETWORK_PARAMETERS = tuple(name for name, each in PARAMETERS.items() if each.decides_network)
"""Parameters of which a fitted model keeps the values, whatever they are set to later."""


def values_of(configuration: Configuration) -> dict[str, Any]:
    """Returns all values by name, in alphabetical order."""
    return {name: getattr(configuration, name) for name in sorted(PARAMETERS)}


def changed_gaussian_only(configuration: Configuration) -> list[str]:
    """Returns the parameters that only Gaussian diffusion uses and that do not have their default values."""
    names = [
        name for name, each in PARAMETERS.items() if each.is_gaussian_only and name not in unused_betas(configuration)
    ]
    return [name for name in names if getattr(configuration, name) != PARAMETERS[name].default]


def unused_betas(configuration: Configuration) -> list[str]:
    """Returns the ends of the linear schedule that do not have their default values, if the schedule is another one."""
    names = () if configuration.schedule == "linear" else ("beta_start", "beta_end")
    return [name for name in names if getattr(configuration, name) != PARAMETERS[name].default]


def network_parameters(configuration: Configuration, width: int, frequencies: int = 1) -> dict[str, Any]:
    """Returns the parameters that a fitted model keeps, with the given numbers in place of None."""
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
