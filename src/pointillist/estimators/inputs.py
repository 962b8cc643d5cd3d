"""What estimators share: parameters, access to the fitted model, and scikit-learn's checks of tables and rows."""

import inspect
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from pointillist.arguments import naming_unknown
from pointillist.models.choosing import masked_table
from pointillist.models.configuration import PARAMETERS
from pointillist.models.parameters import parameters_of
from pointillist.models.request import Request
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.frames import check_finite, read_numbers, with_columns
from pointillist.tables.layout import Layout
from pointillist.tables.names import are_text, check_container, is_frame, pandas_names
from pointillist.tables.table import Table


class AsEstimator:
    """Make an estimator of a configuration: scikit-learn sets parameters as they are, and `fit` checks them."""

    __setattr__ = object.__setattr__

    def __init_subclass__(cls) -> None:
        """Name unknown parameters, and a similar one, in the error of the constructor."""
        super().__init_subclass__()
        if cls.__init__ is object.__init__:
            return
        has_model = "model" in inspect.signature(cls).parameters
        inner = {name: f"model=Diffusion({name}=…)" for name in PARAMETERS} if has_model else {}
        cls.__init__ = naming_unknown(cls.__init__, cls.__name__, inner)  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        pass

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags


class WithParameters(AsEstimator):
    """The methods of scikit-learn's `BaseEstimator`, which takes longer to import than JAX."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the parameters by name; `deep` has no effect, because none of them is an estimator."""
        return {name: getattr(self, name) for name in parameters_of(type(self))}

    def set_params(self, **parameters: Any) -> Self:
        """Sets parameters.

        Raises:
            ValueError: If there is no such parameter.
        """
        for name, value in parameters.items():
            if name not in self.get_params():
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}: it has {sorted(self.get_params())}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        values = ((name, getattr(self, name), each.default) for name, each in parameters_of(type(self)).items())
        changed = sorted(f"{name}={value!r}" for name, value, default in values if repr(value) != repr(default))
        return f"{type(self).__name__}({', '.join(changed)})"

    def _repr_html_(self) -> str:
        from sklearn.utils import estimator_html_repr

        return estimator_html_repr(self)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=InputTags(allow_nan=True))


def fitted_model(estimator: Any) -> Any:
    """Return the model of a fitted `Diffusion` or `RelationalDiffusion`, or raise a NotFittedError."""
    if not hasattr(estimator, "model_"):
        from sklearn.exceptions import NotFittedError

        raise NotFittedError(f"this {type(estimator).__name__} is not fitted: call fit first")
    return estimator.model_


def sampling_run(estimator: Any, n_samples: int | None, **options: Any) -> SamplingRun:
    """Check a request for rows; see `Diffusion.sample` for the options and the ValueError."""
    model, request = fitted_model(estimator), naming_unknown(Request, "Diffusion.sample")
    return SamplingRun(model, request(n_samples, variance=estimator.variance, **options))


def take_over(estimator: Any, fitted: Any) -> None:
    """Replace the fitted attributes of an estimator by those of a clone, so that a failed fit changes nothing."""
    drop_fitted(estimator)
    vars(estimator).update({name: value for name, value in vars(fitted).items() if name.endswith("_")})


def drop_fitted(estimator: Any) -> None:
    """Remove the fitted attributes of an estimator."""
    for name in [name for name in vars(estimator) if name.endswith("_")]:
        delattr(estimator, name)


def checked_rows(estimator: Any, X: Any, *, reset: bool = False) -> tuple[Layout, Float[np.ndarray, "n d"]]:
    """Return the layout of X, and X as finite float64 rows, shape (n, d).

    X must have the columns of `fit`, unless `reset`; a frame may have more.
    """
    from sklearn.utils import check_array
    from sklearn.utils.validation import validate_data

    check_container(X)
    known = None if reset else estimator.model_.codec.names
    if isinstance(X, Table):
        X = X.arrow if X.has_names else X.numbers.rows
    if known is not None:
        X = with_columns(X, known)
    frame, names = pandas_names(X)
    # scikit-learn accepts only text as names.
    has_text_names = is_frame(X) and (names is None or are_text(names))
    if has_text_names:
        validate_data(estimator, frame, skip_check_array=True, reset=reset)
    layout, values = read_numbers(X)
    if layout.names is not None and known is not None and {*layout.names} == {*known} and layout.names != known:
        raise ValueError("X has the columns of fit in another order: give them in the order of fit")
    options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False, "ensure_min_samples": 2 if reset else 1}
    try:
        if has_text_names:
            rows = check_array(values, estimator=estimator, **options)
        else:
            rows = validate_data(estimator, values, reset=reset, **options)
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(f"X is not all numbers ({error}): drop or encode these columns first") from error
    check_finite(rows, "X", layout.names)
    return layout, np.asarray(rows)


def mixed_table(X: Any) -> tuple[Table, str, tuple[Any, ...] | None] | None:
    """Return what `table_of` does; None for numbers without missing cells.

    X that cannot be read is left to later checks (None), or refused with a ValueError in one line.
    """
    found = masked_table("auto", X, prefers_gaussian=True)
    return None if found is None or found[0].is_plain else found


def check_columns(estimator: Any, X: Any, *, reset: bool = False) -> None:
    """Compare the number and names of the columns of X with those of `fit`, or set these attributes if `reset`.

    A ValueError in one line says if they differ.
    """
    from sklearn.utils.validation import validate_data

    X, names = pandas_names(X.arrow if isinstance(X, Table) else X)
    # scikit-learn accepts only text as names.
    shown = X if names is None or are_text(names) else X.to_numpy()
    try:
        validate_data(estimator, shown, skip_check_array=True, reset=reset)
    except ValueError as error:
        raise ValueError(" ".join(str(error).split())) from error
