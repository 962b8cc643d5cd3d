"""Trains the network of observed numbers for longer than the other networks of a mixed table.

They memorize the rows of a table after some 150 epochs. It observes other numbers of a row in each epoch.
"""

import time
from dataclasses import replace
from typing import Any, cast

from pointillist.diffusion.tokens.mixed_losses import MixedObjective, ObservedObjective
from pointillist.engine.recipes import TokenArchitecture, Weights
from pointillist.models.plan import Plan
from pointillist.models.training import train

FEWEST_ROWS, MOST_ROWS = 500, 10_000
"""Smallest and largest number of rows with which this network is trained further. It memorizes smaller tables too, and
larger ones give the common training enough steps."""

STEPS_PER_NUMBER, MOST_EXAMPLES = 1500, 1_000_000
"""Number of further training steps per number of a row, and largest number of examples in all of them: in large
batches, steps cost more and fewer are needed."""

SHORTEST = 10.0
"""Least time before a deadline in which this training begins, in seconds: most of it goes into compiling."""


def train_observed(plan: Plan, networks: Weights, *, is_shown: bool = False, deadline: float | None = None) -> Weights:
    """Trains the network of observed numbers alone, if there is one beside a joint network; returns all networks.

    A network that sees factored tokens stays as it is, because it shares the factors with the network of tokens. The
    training is over by the `deadline`, by `time.monotonic`.
    """
    architecture, objective = plan.process.architecture, plan.method.objective
    if not isinstance(objective, MixedObjective) or not isinstance(architecture, TokenArchitecture):
        return networks
    has_time = deadline is None or deadline - time.monotonic() > SHORTEST
    is_of_size = FEWEST_ROWS <= len(plan.rows) <= MOST_ROWS
    if not architecture.has_joint_network or architecture.is_factored or not is_of_size or not has_time:
        return networks
    steps = min(STEPS_PER_NUMBER * len(architecture.tokens.with_number), MOST_EXAMPLES // plan.method.batch_size)
    epochs = -(-steps // (plan.steps * plan.shards.count))
    of_observed = ObservedObjective(objective.tokens, objective.guided, objective.p_uncond, objective.hidden_context)
    alone = replace(
        plan,
        process=replace(cast(Any, plan.process), architecture=architecture.observed, basis=None),
        method=replace(plan.method, objective=of_observed),
        training=replace(plan.training, epochs=epochs),
        # Other times and noise than before.
        seed=(plan.seed + 1) % 2**32,
        start=cast(Any, networks).number_network,
    )
    trained = train(alone, is_shown=is_shown, what="observed numbers: loss", deadline=deadline)
    return replace(cast(Any, networks), number_network=trained.network)
