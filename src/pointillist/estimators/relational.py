"""`RelationalDiffusion`: several tables that refer to each other, or one table with several rows per subject."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pointillist.arguments import RandomState, is_integer, is_number, seed_of
from pointillist.estimators.inputs import WithParameters, fitted_model
from pointillist.evaluation.related_tables import RelationalEvaluation, evaluate_tables
from pointillist.models.configuration import PARAMETERS, Configuration
from pointillist.models.parameters import Checked, documented, parameter, reused
from pointillist.relational.filling import filled_tables
from pointillist.relational.fitting import fit_subjects, fit_tables
from pointillist.relational.model import RelationalModel, load_relational
from pointillist.tables.frames import aligned
from pointillist.tables.schema import Schema, propose_keys, read_frame
from pointillist.tables.subjects import SUBJECTS


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RelationalConfig(Checked):
    """The keys of related tables, with the parameters of their models."""

    # fmt: off
    primary_keys: Any = parameter(
        None, "Column of the primary key of each table, or a tuple of columns, by table.",
        unset="found by name and content, if foreign_keys is None too")
    foreign_keys: Any = parameter(
        None, 'Foreign keys of each table, {"orders": {"customer": "customers"}}; a key may be a tuple of columns.',
        details="The first one without missing cells names the parent, which decides how many rows there are. Rows are "
        "drawn with the columns to which their other keys refer, and matched to similar rows.")
    order: Any = parameter(
        None, 'Column of dates or numbers that orders the rows of a parent, {"orders": "date"}; or its name.',
        details="The name alone is for a single table, with `subject`.")
    subject: Any = parameter(
        None, "Column that names the subject of each row, for a single table with several rows per subject.")
    rules: list[Any] | None = parameter(
        None, 'Rules between columns named "table.column", like `rules.ordered("customers.since", "orders.date")`.',
        unset="the rules that `fit` finds within a table",
        details="They compare, add or multiply columns of a table and of the rows to which it refers.")
    # fmt: on
    epochs: int | None = reused(PARAMETERS["epochs"])
    batch_size: int | None = reused(PARAMETERS["batch_size"])
    learning_rate: float | None = reused(PARAMETERS["learning_rate"])
    early_stopping: bool = reused(PARAMETERS["early_stopping"])
    width: int | None = reused(PARAMETERS["width"])
    depth: int = reused(PARAMETERS["depth"])
    epsilon: float | None = parameter(None, "Refused: ε covers single rows, and a subject has rows in several tables.")
    verbose: bool | int | None = reused(PARAMETERS["verbose"])
    random_state: RandomState = reused(PARAMETERS["random_state"])


@documented(RelationalConfig)
class RelationalDiffusion(WithParameters, RelationalConfig):
    """A diffusion model of several tables that refer to each other, or of one table with several rows per subject.

    Each table has a model of its rows. A parent's row has the number of its children, and summaries of them. Each child
    is drawn given its parent's row, its index, the number of children that are left, what is left of the summaries and,
    if the children have an order, the previous one. The children of all parents are drawn side by side.

    Args:
        PARAMETERS

    Attributes:
        model_: The fitted model, a `pointillist.relational.model.RelationalModel`.

    Example:
        >>> import pandas as pd
        >>> visits = pd.DataFrame({"patient": [1, 1, 2, 2, 2], "day": [0, 7, 0, 5, 9], "pain": [8, 5, 6, 6, 3]})
        >>> model = RelationalDiffusion(subject="patient", order="day", epochs=2, random_state=0).fit(visits)
        >>> list(model.sample(n_subjects=2, random_state=0).columns)
        ['patient', 'day', 'pain']
    """

    def fit(self, X: Any, *, checkpoint: str | Path | None = None) -> Self:
        """Fits the models.

        Args:
            X: A dictionary of tables by name: data frames of pandas, Polars or PyArrow, or tables from
                `pointillist.files.read_table`. With `subject`, one table.
            checkpoint: Start of the names of files to which the states of training are written, one for each table. If
                they exist, training resumes from them.

        Raises:
            ValueError: In one line, if a key is missing, repeats or refers to no row, if tables refer to each other in
                a cycle, or if a table or a parameter cannot be used.

        Warns:
            UserWarning: If keys are found by name and content, or columns are dropped.
        """
        configuration = Configuration(**{name: v for name, v in self.get_params().items() if name not in _KEYS})
        path = None if checkpoint is None else Path(checkpoint)
        if self.subject is not None:
            self.model_ = fit_subjects(configuration, X, self.subject, self.order, path)
            return self
        if not isinstance(X, Mapping) or len(X) < 1:
            raise ValueError("X must be a dictionary of tables by name: for one table, give subject=")
        primary, foreign = self.primary_keys or {}, self.foreign_keys or {}
        if self.primary_keys is None and self.foreign_keys is None:
            primary, foreign = propose_keys({name: read_frame(name, each) for name, each in X.items()})
            found = f"primary_keys={primary}, foreign_keys={foreign}"
            text = f"keys were found by name and content: {found}: give them if others are meant"
            warnings.warn(text, UserWarning, stacklevel=2)
        self.model_ = fit_tables(configuration, X, Schema.of(tuple(X), primary, foreign, self.order), path)
        return self

    def sample(
        self,
        *,
        scale: float = 1.0,
        n_subjects: int | None = None,
        where: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        random_state: RandomState = None,
    ) -> Any:
        """Draws new tables with valid keys.

        Args:
            scale: Number of rows of each table without a parent, as a multiple of its number of training rows. The
                numbers of rows of the other tables follow from their parents.
            n_subjects: Number of subjects, instead of `scale`, for a model with `subject`.
            where: Conditions: `{"customers.country": "FR"}`, or `{"country": "FR"}` with `subject`. Tables without a
                parent take all conditions of `Diffusion.sample`; other tables take single values, which hold in all of
                their rows. Parents are then drawn with summaries of children that have these values.
            given: Real rows of tables without a parent, by table: they keep their keys and get new children. If they
                refer to another table, give that table too.
            random_state: Seed.

        Returns:
            A dictionary of tables in the containers of `fit`, with new keys 1, 2, …; with `subject`, one table.

        Raises:
            ValueError: In one line, if an argument cannot be used.
        """
        model: RelationalModel = fitted_model(self)
        if not is_number(scale) or scale <= 0:
            raise ValueError(f"scale must be a number above 0, not {scale!r}")
        n_rows = {table.name: max(1, round(scale * table.n_rows)) for table in model.tables}
        conditions = dict(where or {})
        if n_subjects is not None and (model.subjects is None or not is_integer(n_subjects, 1)):
            raise ValueError("n_subjects is an integer of at least 1, for a model with subject: give scale")
        if model.subjects is None:
            return model.sample(n_rows, conditions, given or {}, seed_of(random_state))
        if given is not None:
            raise ValueError("given is for several tables: leave it out")
        n_rows[SUBJECTS] = n_subjects or n_rows[SUBJECTS]
        conditions = {model.subjects.where(name): value for name, value in conditions.items()}
        drawn = model.sample(n_rows, conditions, {}, seed_of(random_state))
        return model.subjects.layout.restore(model.subjects.join(drawn))

    def impute(self, X: Any, *, random_state: RandomState = None) -> Any:
        """Fills missing cells with draws given the rest of the row, its parent, the previous row and summaries of rows.

        Args:
            X: All tables of `fit`, with missing cells; primary keys and the columns of `order` have none. With
                `subject`, the table.
            random_state: Seed.

        Returns:
            The tables, in the containers of `fit`. Missing foreign keys stay missing.

        Raises:
            ValueError: In one line, if a table or a key cannot be used.
        """
        model: RelationalModel = fitted_model(self)
        subjects = model.subjects
        if subjects is None:
            return filled_tables(model, X, seed_of(random_state))
        split = subjects.split(aligned(X, subjects.layout))
        return subjects.layout.restore(subjects.join(filled_tables(model, split, seed_of(random_state))))

    def evaluate(self, X: Any, drawn: Any, *, random_state: int = 0) -> RelationalEvaluation:
        """Compares drawn tables with real ones; `print` shows the report.

        The report compares columns, pairs of columns and numbers of children of half of the rows with those of real
        rows, beside the same for two halves of the real rows. Boosted trees try to distinguish real from drawn parents
        with aggregates of their children (C2ST-Agg: Hudovernik et al. 2024, arXiv 2410.03411), rows with their parents,
        and successive rows; an accuracy of 0.5 is perfect. The verdict holds at the 1 % level over all these tests.

        Args:
            X: The real tables, or the real table with `subject`; columns that were not learned are left out.
            drawn: The drawn tables.
            random_state: Seed.

        Raises:
            ValueError: In one line, if a key is not valid.
        """
        model: RelationalModel = fitted_model(self)
        if model.subjects is not None:
            X, drawn = (model.subjects.split(read_frame("X", side)) for side in (X, drawn))
        return evaluate_tables(X, drawn, model.schema, random_state=random_state)

    def save(self, path: str | Path) -> None:
        """Writes the fitted models as one safetensors file, whole or not at all. Nothing in it can run code."""
        fitted_model(self).save(Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads models that `save` wrote; they draw the same rows, bit for bit.

        Raises:
            ModelFileError: A ValueError, in one line, if the file is damaged, hostile or of another version.
            OSError: If it cannot be read.
        """
        model = load_relational(Path(path))
        schema, subjects = model.schema, model.subjects
        if subjects is not None:
            loaded = cls(subject=subjects.column, order=next(iter(schema.order.values()), None))
        else:
            foreign = schema.foreign_keys.items()
            loaded = cls(
                primary_keys={table: _plain(columns) for table, columns in schema.primary_keys.items()},
                foreign_keys={table: {_plain(key.columns): key.parent for key in keys} for table, keys in foreign},
                order=dict(schema.order) or None,
            )
        loaded.model_ = model
        return loaded


_KEYS = ("primary_keys", "foreign_keys", "order", "subject")


def _plain(columns: tuple[str, ...]) -> Any:
    """Return the columns of a key as a user gives them."""
    return columns[0] if len(columns) == 1 else columns
