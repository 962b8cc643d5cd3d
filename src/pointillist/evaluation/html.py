"""An evaluation as one HTML file for readers without Python, with neither scripts nor references."""

from collections.abc import Iterator
from importlib.resources import files

from markupsafe import Markup

from pointillist.evaluation.comparison import Comparison
from pointillist.evaluation.figure import Histogram
from pointillist.evaluation.report import number_text, percent, rounded
from pointillist.evaluation.tables import columns_table, pairs_table, privacy_note, summary_table
from pointillist.evaluation.verdict import copy_signs, verdict_of
from pointillist.foreign_text import printable

WIDTH, HEIGHT, LINE, LABEL = 300, 84, 21, 96
"""Size of a drawing of intervals, height of the line of a category, and width of its label."""

LONGEST_LABEL = 16
"""Most characters of a category's label; the tooltip has all."""


def html_of(found: Comparison, attack: str | None = None, names: tuple[str, str] | None = None) -> str:
    """Return the HTML of an evaluation; see `print_evaluation` for the arguments."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("pointillist", "evaluation")
    # All text is escaped: names and categories of a table are not trusted.
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"printable": printable, "percent": percent}
    order = {column.name: i for i, column in enumerate(found.worst_columns)}
    assets = files("pointillist").joinpath("page", "assets")
    style, dark = (Markup(assets.joinpath(f"{name}.css").read_text(encoding="utf-8")) for name in ("style", "dark"))
    return environment.get_template("report.html.j2").render(
        found=found,
        headline=_headline(found),
        is_bad=found.is_distinguishable or bool(copy_signs(found)),
        verdict=verdict_of(found),
        scores=list(_scores(found)),
        tables=[each for each in (pairs_table(found), summary_table(found, names), columns_table(found)) if each.rows],
        drawings=[
            (each, _drawing(each)) for each in sorted(found.histograms, key=lambda each: order[each.column.name])
        ],
        checks=list(_checks(found, attack)),
        style=style,
        dark=dark,
    )


def _headline(found: Comparison) -> str:
    """Return the verdict as one sentence."""
    if copy_signs(found):
        also = ", and a test tells them from real rows" if found.is_distinguishable else ""
        return f"Generated rows look copied from real ones{also}."
    if found.is_distinguishable:
        return "Generated rows do not look copied, but a test tells them from real rows."
    return "No test tells the generated rows from real rows, and none of them looks copied."


def _scores(found: Comparison) -> Iterator[tuple[str, str, str]]:
    """Yield what is measured, its value for generated rows, and a note on how to read it."""
    rows, real = found.rows, found.real
    auc, best = (rounded(side.two_sample.auc) for side in (rows, real))
    yield "Boosted trees tell generated from real rows (AUC)", auc, f"{best} for real rows; 0.5 is chance"
    yield "Single columns agree", f"{rows.shapes_mean:.3f}", f"{real.shapes_mean:.3f} for real rows; 1 is best"
    if rows.trends.pairs:
        mean, best = (f"{side.common_trends.mean:.3f}" for side in (rows, real))
        yield "Pairs of columns agree", mean, f"{best} for real rows; 1 is best"
    note = f"{percent(found.copies.duplicates, 2)} of the data equal another data row"
    if found.holdout_copies is not None:
        note = f"{percent(found.holdout_copies.fraction, 2)} of held-out rows do"
    yield "Rows equal to a data row", f"{found.copies.count:,} ({percent(found.copies.fraction, 2)})", note
    if rows.nearest is not None:
        low, high = rows.nearest.interval
        note = f"50 % by chance, from {percent(low, 1)} to {percent(high, 1)} in 99 of 100 cases"
        yield "Rows nearer to the data than to held-out rows", percent(rows.nearest.share, 1), note


def _checks(found: Comparison, attack: str | None) -> Iterator[str]:
    """Yield what a person should check."""
    if copy_signs(found):
        yield "Rows look copied. Do not pass them on; train for fewer epochs, or on more rows, and evaluate again."
    if found.is_distinguishable:
        yield "Look at the columns and pairs that differ most: would a difference change what you use the rows for?"
    if found.holdout_rows is None:
        yield "No real rows were held out, so nearness to the data was not compared: evaluate with held-out rows."
    yield "Every category of the generated rows occurs in the data. May all readers of the rows see these names?"
    yield "Do rules hold that people know, such as an end after its start, or a total of several columns?"
    yield "Look at the rarest and the largest values: the model learned them from few rows."
    yield privacy_note(attack)


def _drawing(histogram: Histogram) -> Markup:
    """Draw the bars of the data and of the rows as SVG."""
    highest = max(*histogram.data, *histogram.rows, 1e-9)
    name = printable(histogram.column.name)
    bars = zip(histogram.data, histogram.rows, strict=True)
    if histogram.ends is not None:
        step, scale, base = WIDTH / len(histogram.data), (HEIGHT - 20) / highest, HEIGHT - 16
        parts = [Markup('<path class="made" d="M0 {}').format(base)]
        for i, (data, rows) in enumerate(bars):
            rectangle = Markup('<rect class="real" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
            parts.insert(0, rectangle.format(i * step, base - data * scale, step, data * scale))
            parts.append(Markup("V{:.1f}H{:.1f}").format(base - rows * scale, (i + 1) * step))
        low, high = (number_text(end, histogram.per_day) for end in histogram.ends)
        parts.append(Markup('V{}"/><text x="0" y="{}">{}</text>').format(base, HEIGHT - 3, low))
        parts.append(Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(WIDTH, HEIGHT - 3, high))
        height = HEIGHT
    else:
        scale, parts, height = (WIDTH - LABEL - 84) / highest, [], LINE * len(histogram.data)
        for i, (label, (data, rows)) in enumerate(zip(histogram.labels, bars, strict=True)):
            label = printable(label)
            short = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
            parts.append(
                Markup(
                    '<g transform="translate(0 {})"><title>{}</title><text y="14">{}</text>'
                    '<rect class="real" x="{}" y="3" width="{:.1f}" height="7"/>'
                    '<rect class="only" x="{}" y="10" width="{:.1f}" height="7"/>'
                    '<text x="{}" y="14" text-anchor="end">{} | {}</text></g>'
                ).format(
                    *(i * LINE, label, short, LABEL, data * scale, LABEL, rows * scale, WIDTH),
                    *(percent(data, 1).removesuffix(" %"), percent(rows, 1)),
                )
            )
    svg = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}: real and generated rows">{}</svg>')
    return svg.format(WIDTH, height, name, Markup("").join(parts))
