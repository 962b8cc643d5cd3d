"""`Diffusion`: a diffusion model of rows, as a scikit-learn estimator."""

from sklearn.base import BaseEstimator
from sklearn.utils import Tags

from pointillist.estimators import plotting
from pointillist.estimators.model import DiffusionModel


class Diffusion(DiffusionModel, BaseEstimator):
    """A diffusion model of the rows of a table, with or without classes.

    A network learns to denoise rows (Ho et al. 2020, arXiv 2006.11239), and a sampler turns noise into new rows. With
    labels the model is conditional. It also learns the distribution of all classes together, because a share of the
    labels is hidden in training (Ho & Salimans 2022, arXiv 2207.12598).

    The default recipe uses residual blocks, EDM preconditioning and noise levels (Karras et al. 2022, arXiv
    2206.00364) and averaged weights. The study's built-in spec `recipes` shows what each of them contributes;
    `pointillist.estimators.REPORT` holds the parameters of a plain DDPM.

    Args:
        timesteps: T, the number of noise levels in the schedule, from 1 to 100,000.
        schedule: "cosine", "sigmoid" or "linear".
        beta_start: beta_1 of the linear schedule, in (0, 1).
        beta_end: beta_T of the linear schedule, in [beta_start, 1).
        scaling: Scaling of a column for the model: "minmax" maps its range to [-1, 1]; "standard" gives it mean 0
            and standard deviation 1; "quantile" makes it normal, for columns with long tails or repeated values; None
            leaves it as it is. Constant columns are left out of the model and put back into new rows.
        network: "residual", blocks that the noise level modulates, or "mlp", ReLU layers that take it as an input.
        prediction: Quantity that the network predicts: "edm" (preconditioned, Karras et al. 2022, table 1), "v"
            (Salimans & Ho 2022, arXiv 2202.00512), "eps" (the noise) or "x0" (the row).
        weighting: Weighting of the loss: "uniform", or "min-snr" (Hang et al. 2023, arXiv 2303.09556).
        noise_levels: Distribution of the noise levels in training: "log-normal" (Karras et al. 2022, table 1), or
            "uniform" over 1 … T.
        width: Number of units in a hidden layer. None is 96, or 256 with mixed columns.
        depth: Number of hidden blocks.
        time_embedding: Width of the embedding of the noise level, even, at least 4.
        class_embedding: Width of the embedding of the class, even, at least 4.
        epochs: Most passes over the rows. None is as many as make 10,000 steps, but at most 400; at most 40 with mixed
            columns.
        batch_size: Number of rows in a step; all rows if the table has fewer. None is 64, or with mixed columns a
            sixteenth of the rows, from 8 to 256.
        learning_rate: Adam's learning rate.
        warmup: Number of steps over which the learning rate rises from 0, at most a tenth of all steps.
        decay: Whether the learning rate then falls to 0 along half a cosine.
        averaging: Fraction of itself that a running average of the weights keeps in each step, in [0, 1). The averaged
            network is the one that `fit` ends with; 0 turns averaging off.
        gradient_clip: Largest norm of the gradient; None for no limit.
        precision: Precision of the network's products in training, "float32" or "bfloat16"; weights stay float32.
        early_stopping: Whether to hold out rows, and to stop when their loss no longer falls. The weights with the
            lowest held-out loss are kept.
        validation_fraction: Share of the rows to hold out, in (0, 1); at most 10,000 rows are held out.
        n_iter_no_change: Number of checks without a lower held-out loss after which training stops. A check follows
            every 500 steps, or every epoch if an epoch has more.
        warm_start: Whether `fit` continues from the weights and the scaling of the last `fit`, for `epochs` more. Only
            for models of numbers.
        p_uncond: Share of the rows whose label is hidden in training, in [0, 1]. Guidance needs it above 0.
        variance: Variance of the ancestral sampler's noise, "posterior" or "beta".
        process: "gaussian", "masked" or "auto". "gaussian" is diffusion of numbers. "masked" is diffusion of tokens
            (`pointillist.diffusion.tokens`), for columns of any kind; besides `verbose` and `random_state` it uses only
            `width`, `depth` and the parameters from `epochs` to `n_iter_no_change`. "auto" looks at what the columns
            hold, not at the container: it chooses Gaussian diffusion for tables of numbers and booleans in which no
            cell is missing and values do not repeat, and masked diffusion for all others, arrays included. Values
            repeat if the table has at least 200 rows and, in some column, more than 5 % of the cells hold values that
            many rows share.
        verbose: Whether `fit` shows a progress bar.
        random_state: Seed of `fit`.

    Attributes:
        classes_: The labels, sorted; only in a model with classes.
        class_counts_: Number of training rows of each class; only in a model with classes.
        n_features_in_: Number of columns, d.
        feature_names_in_: Names of the columns; only if all of them are text.
        layout_: Container, names and types of the training rows, in which new rows are returned.
        scaling_: Scaling between the units of the table and what the model sees; only in a model of numbers.
        spread_: Root mean square of each column as the model sees it; only in a model of numbers.
        schedule_: The noise schedule; only in a model of numbers.
        encoding_: Tokens of each column; only in a model of mixed columns.
        network_: Weights of the network.
        history_: Mean training loss of each epoch, shape (epochs,).
        validation_history_: Held-out loss at each check, shape (checks,); empty without early stopping.
        trained_with_: The parameters that decided the network, as they were in `fit`.
        label_column_: Name and position of the column of labels; None without labels, or if a model of numbers was
            given them as `y`.
        seed_: The seed that training used.
        fingerprint_: Hash of the training rows.

    Example:
        >>> from pointillist import load_pointset
        >>> X, y = load_pointset("moons", n_rows=500)
        >>> model = Diffusion(epochs=20, random_state=0).fit(X, y)
        >>> model.sample(3, labels=1, guidance=0.5, random_state=0).shape
        (3, 2)
    """

    # Functions that take a model, and so serve as its methods.
    plot = plotting.plot
    plot_trajectory = plotting.plot_trajectory
    animate = plotting.animate
    plot_density = plotting.plot_density

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
