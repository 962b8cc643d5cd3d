"""`Diffusion`: a model of rows, as scikit-learn has estimators."""

from sklearn.base import BaseEstimator
from sklearn.utils import Tags

from pointillist.estimators import plotting
from pointillist.estimators.model import DiffusionModel


class Diffusion(DiffusionModel, BaseEstimator):
    """A diffusion model of the rows of a table, with classes or without.

    A network learns to denoise rows (Ho et al. 2020, arXiv 2006.11239); a sampler turns noise into new rows. With
    labels the model is conditional, and also learns the rows of all classes together, from a share of rows whose labels
    it is not shown (Ho & Salimans 2022, arXiv 2207.12598).

    The defaults are the best recipe known here: residual blocks, EDM preconditioning and noise levels (Karras et al.
    2022, arXiv 2206.00364), averaged weights. The study's built-in spec `recipes` shows what each of them does;
    `pointillist.estimators.REPORT` has the parameters of a plain DDPM.

    Args:
        timesteps: T, number of noise levels in the schedule, 1 to 100,000.
        schedule: "cosine", "sigmoid" or "linear".
        beta_start: beta_1 of the linear schedule, in (0, 1).
        beta_end: beta_T of the linear schedule, in [beta_start, 1).
        scaling: How the model sees a column: "minmax", its range as [-1, 1]; "standard", with mean 0 and standard
            deviation 1; "quantile", made normal, for columns with long tails or repeated values; None, as it is.
            Columns that are constant are left out, and put back into new rows.
        network: "residual", blocks that the noise level modulates, or "mlp", layers of ReLU that see it as an input.
        prediction: What the network predicts: "edm" (preconditioned, Karras et al. 2022, table 1), "v" (Salimans & Ho
            2022, arXiv 2202.00512), "eps", the noise, or "x0".
        weighting: Of the loss: "uniform", or "min-snr" (Hang et al. 2023, arXiv 2303.09556).
        noise_levels: In training: "log-normal" (Karras et al. 2022, table 1), or "uniform" over 1 … T.
        width: Units of a hidden layer; None for 96, or for 256 with mixed columns.
        depth: Number of hidden blocks.
        time_embedding: Width of the embedding of the noise level, even, at least 4.
        class_embedding: Width of the embedding of the class, even, at least 4.
        epochs: Passes over the rows, at most; None for as many as make 10,000 steps, but at most 400.
        batch_size: Rows a step, all rows where there are fewer; None for 64, or for 256 with mixed columns.
        learning_rate: Adam's.
        warmup: Steps over which it goes up from 0, at most a tenth of all.
        decay: Whether it then goes down to 0 as half a cosine over the epochs.
        averaging: In [0, 1): the share of itself that a running average of the weights keeps in a step. The average is
            the network that `fit` ends with; 0 for none.
        gradient_clip: Largest norm of the gradient; None for no limit.
        precision: Of the network's products in training, "float32" or "bfloat16"; weights are float32.
        early_stopping: Whether to hold out rows, and stop once their loss no longer falls. The weights kept are those
            of the least loss.
        validation_fraction: Share of rows held out, in (0, 1); 10,000 rows at most.
        n_iter_no_change: Looks at the held-out rows, one every 500 steps or every epoch, without a lesser loss before
            it stops.
        warm_start: Whether `fit` goes on from the weights of the last `fit`, with its scaling, for `epochs` more.
        p_uncond: Share of rows whose label is not shown in training, in [0, 1]. Guidance needs it above 0.
        variance: Of the ancestral sampler, "posterior" or "beta".
        process: "gaussian", diffusion of numbers; "masked", of tokens, for tables with columns of any kind
            (`pointillist.diffusion.tokens`), where of all that is above `width` to `n_iter_no_change` counts;
            "auto", gaussian for arrays and for frames of numbers and truth values without missing cells.
        verbose: Whether `fit` shows a bar.
        random_state: Of `fit`.

    Attributes:
        classes_: The labels, sorted; only of a model with classes.
        class_counts_: Training rows of each class; only of a model with classes.
        n_features_in_: Number of columns d.
        feature_names_in_: Their names; only of rows with names.
        layout_: What the rows came as: new rows come the same.
        scaling_: Between the units of the table and what the model sees.
        spread_: Root mean square of each column that the model sees, as it sees it.
        schedule_: The noise schedule.
        network_: The network's weights.
        history_: Mean training loss of each epoch, shape (epochs,).
        validation_history_: Loss of the held-out rows at each look, shape (looks,); none without early stopping.
        trained_with_: The parameters that decided the network, as they were in `fit`.
        label_column_: Name and place of the labels' column, of a table from a file; None otherwise.
        seed_: The seed that training used.
        fingerprint_: A hash of the training rows.

    Example:
        >>> from pointillist import load_pointset
        >>> X, y = load_pointset("moons", n_rows=500)
        >>> model = Diffusion(epochs=20, random_state=0).fit(X, y)
        >>> model.sample(3, labels=1, guidance=0.5, random_state=0).shape
        (3, 2)
    """

    # Functions of a model, which are at home with what they draw by.
    plot = plotting.plot
    plot_trajectory = plotting.plot_trajectory
    animate = plotting.animate
    plot_density = plotting.plot_density

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
