/* What the checker cannot read from the pages' scripts: what Python puts into a page, and the elements of its HTML. */

declare global {
  /** A noise level; t is the time, from 0 to T, which need not be whole. */
  interface Level {
    alpha: number;
    sigma: number;
    lambda: number;
    t: number;
  }

  type Tensors = Record<string, Float32Array>;

  /** Weights as a page holds them. */
  interface PackedWeights {
    shapes: [name: string, shape: number[], along: "all" | "inputs" | "outputs" | null][];
    weights: string;
    weights_type: "steps" | "float32";
    low_bits?: 0 | 2;
    scales?: string;
    rest?: string;
  }

  /** A network of rows of numbers, as a worker has it: its weights unpacked. */
  interface NumberNetworkContent {
    network: "mlp" | "residual";
    prediction: "eps" | "v" | "x0" | "edm";
    columns: number;
    n_classes: number;
    time_embedding: number;
    class_embedding: number;
    row_frequencies: number[];
    noise_level_frequencies: [number, number];
    sigma_data: number[];
    alpha: Float32Array;
    sigma: Float32Array;
    hidden: string[];
    inner: string[];
    outer: string[];
    bounds?: [number[], number[]];
    tensors: Tensors;
  }

  type ResidualContent = Pick<
    NumberNetworkContent,
    "columns" | "row_frequencies" | "noise_level_frequencies" | "inner" | "outer" | "tensors"
  > & { level_features?: number };

  /** What kernel.wat computes: all but sizes are offsets in the kernel's memory. */
  interface Kernel {
    memory: WebAssembly.Memory;
    add(x: number, y: number, bytes: number): void;
    silu(x: number, bytes: number): void;
    normalize(x: number, y: number, scale: number, shift: number, units: number, rows: number): void;
    dense(
      weight: number,
      bias: number,
      x: number,
      y: number,
      inputs: number,
      outputs: number,
      rows: number,
      relu: 0 | 1,
    ): void;
  }

  /** What a network that is trained in a page learns, and how. */
  type Learned = Pick<NumberNetworkContent, "columns" | "sigma_data" | "alpha" | "sigma" | "time_embedding">;
  interface Settings {
    width: number;
    depth: number;
    batch: number;
    rate: number;
    seed: number;
  }

  /** A model of mixed columns, as a worker has it. */
  interface MixedContent {
    sizes: number[];
    with_number: number[];
    number_values: number[];
    with_intervals: number[];
    missing_values: number[];
    given_frequencies: number[];
    most_steps: number;
    in_column_order: boolean;
    guided: number | null;
    depth: number;
    ranges: RangedContent;
    row_frequencies: number[];
    level_features: number;
    noise_level_frequencies: [number, number];
    alpha: Float32Array;
    sigma: Float32Array;
    covariance: Float32Array | null;
    has_joint_network: boolean;
    basis: Float32Array | null;
    width: number;
    tensors: Tensors;
  }

  /** How rows are drawn: the tokens of each turn with their logits, row by row, and the numbers after each step. */
  interface Told {
    turns: { wanted: number[][]; logits: ArrayLike<number>[][] }[];
    states: Float32Array[];
  }

  /** A cell on its way. */
  interface StoryCell {
    value: number;
    text: string;
    isDrawn: boolean;
    isMoving: boolean;
  }

  /** The way of a row from nothing to its last cell, as a study's page shows it. */
  interface Story {
    table: RowTable;
    order: number[];
    chances: number[][];
    length: number;
    path: Float32Array;
    momentAfter(position: number): number;
    seen(moment: number, ahead?: number): number;
    cells(moment: number, ahead?: number): StoryCell[];
    point(moment: number): number[];
    color(moment: number, ahead?: number): number;
  }

  /** The table of a study's page, and its model. */
  interface RowTable {
    model: MixedContent & { chunk: number };
    columns: PageColumn[];
    titles: string[];
    shown: number[];
    colored: number;
    home: number;
    dataset: StudyDataset;
    draw(rows: number, asked: { seed?: number; firstRow?: number; id?: "model" | "alone" }): Promise<Story[]>;
    isImpossible(cells: (string | null)[]): boolean;
  }

  /** Normal scores of a column. */
  interface ScoresContent {
    points: Float64Array;
    levels: Float64Array;
    edges: Float64Array;
    is_discrete: boolean;
    has_intervals: boolean;
  }

  /** A column of a model's page. */
  interface Column {
    name: string;
    /** That of its encoder; a script of that name decodes it. */
    kind: string;
    /** How its cells are written. */
    format: "category" | "boolean" | "whole" | "number" | "decimal" | "day" | "time";
    type: string;
    minimum: number;
    maximum: number;
    /** Those before rounding, of a model of mixed columns. */
    ends: [number, number];
    // Of a model of numbers.
    /** Whether new values do not pass the lowest and the highest one. */
    is_end: [boolean, boolean];
    /** Its values are (first + step k) / scale, for integers k. */
    grid?: [scale: number, first: number, step: number];
    is_standard?: boolean;
    /** Index among the columns that vary. */
    index?: number;
    /** Index among the columns of pairs. */
    pair: number;
    centre: number;
    unit: number;
    // Of a model of mixed columns.
    token: number;
    score: number | null;
    n_values: number;
    has_missing: boolean;
    can_be_given: boolean;
    /** Number of training rows with each value of the token. */
    counts: Float64Array | null;
    categories?: (string | boolean | number)[];
    atoms: Float64Array;
    /** Whether its numbers are categories. */
    is_nominal?: boolean;
    is_calendar?: boolean;
    scores?: ScoresContent;
    decimals: number | null;
    /** Its numbers are multiples of it; 0 for the last decimal. */
    increment: number;
    step: number;
    first: number;
    scale: number;
    /** The lowest and the highest number that it can hold, of integers and decimals. */
    limits?: [number, number];
    per_second: number;
  }

  /** Histograms of the training rows for each pair of columns. */
  interface PairsContent {
    bins: number;
    /** Ends of the bins, or indices of categories, of one column after another. */
    ends: Float64Array;
    /** Numbers of rows, of one pair after another. */
    counts: Float64Array;
  }

  /** The training rows' grid of two columns. */
  interface PairsGrid {
    shade(context: CanvasRenderingContext2D, across: (value: number) => number, up: (value: number) => number): void;
    overlap(x: DrawnColumn, y: DrawnColumn, rows: number): [own: number, expected: number] | null;
  }

  /** A set, or a range, that is asked for; NaN is a missing cell. */
  interface AskedValues {
    values?: number[];
    low?: number;
    high?: number;
  }

  /** What a form asks of a column. */
  interface Wish extends AskedValues {
    column: PageColumn;
  }

  /** A column with the properties of its kind. */
  interface PageColumn extends Column {
    /** Identifies its observed cells: the index of its token, or among the numbers that vary. */
    slot: number;
    isWhole: boolean;
    /** Names of its categories. */
    nominal: string[] | null;
    /** Decodes a drawn row that begins at index `start`: the index of a category, a number, or NaN if it is missing. */
    decode: (drawn: Float32Array, start: number, label?: number) => number;
    /** Tells the model of a value. */
    tell: (row: Float32Array, value: number) => void;
    write: (value: number) => string;
    writeEnd: (value: number) => string;
    /** From a text to a value; throws what is wrong with it. */
    parse: (text: string) => number;
    parseEnd: (text: string) => number;
    parseGiven: (text: string) => number;
    /** Values that may be given, with their texts; null for numbers of any size. */
    choices: [value: number, text: string][] | null;
    /** Values of which a condition names some; null if it is a range. */
    few: [value: number, text: string][] | null;
    /** What a condition allows; throws, in a line, that it is nothing. */
    allowed: (asked: AskedValues) => any;
    /** Rounds to what the column can be; of mixed columns of numbers. */
    round: (value: number) => number;
    /** Shares of the classes in the training rows. */
    shares?: number[];
    /** Share of the training rows up to a value. */
    below?: (value: number) => number;
  }

  /** A column with drawn values. */
  interface DrawnColumn extends PageColumn {
    values: Float64Array;
    /** The lowest and the highest number that a condition allows. */
    bounds?: [number, number];
  }

  /** A rule that rows obey, with the attributes of its kind. */
  interface Rule {
    kind: string;
    /** By token. */
    columns: number[];
    /** Of a sum or an inequality. */
    factors: number[];
    constant: number;
    /** Of an inequality. */
    is_strict: boolean;
    is_declared: boolean;
    /** Of a product or a power. */
    factor: number;
    exponent: number;
    /** Of equations: the column that is calculated, and whether they hold to its last digit. */
    solved: number;
    is_exact: boolean;
    /** Of a lookup: the values of the first column, increasing, and beside each those of the others. Of combinations: each of them. */
    table: number[][];
    is_followed: boolean;
  }

  /** How a rule is restored in a row. */
  interface Restoring {
    /** Which of its columns may change, and which may although other cells can. */
    free: boolean[];
    reserved: boolean[];
    /** Number of columns that are moved from the front of the order of moves to its end. */
    shift: number;
    isStrict: boolean;
    canLeave: boolean;
    /** Whether orders are restored in this pass. */
    isFirst: boolean;
  }

  /** A kind of rule; it changes the values of the rule's columns in a row. */
  interface RuleKind {
    breaks(rule: Rule, columns: DrawnColumn[], values: number[]): boolean;
    restore(rule: Rule, columns: DrawnColumn[], values: number[], how: Restoring): void;
    /** Calculates the only column that is not fixed; returns whether it can. */
    determine?(rule: Rule, columns: DrawnColumn[], values: number[], i: number, canLeave: boolean): boolean;
    /** Columns that other rules change only where no other cell can change. */
    reserved(rule: Rule): number[];
  }

  /** A condition on a token and its number. */
  interface Condition {
    token: number;
    /** Allowed token values, with the fraction of their mass, and the ends of the allowed part of their interval. */
    pieces: [value: number, share: number, low: number, high: number][];
    /** Of the normal score; none if each is allowed. */
    ranges?: [number, number][];
    /** In the table's units. */
    ends: [number, number];
    /** Whether only some values between the ends are allowed. */
    is_set?: boolean;
  }

  /** What a condition allows of a number: ranges as the network sees them, and their ends in the table's units. */
  interface InRanges {
    /** Index among the columns that vary. */
    index: number;
    ranges: [number, number][];
    ends: [number, number];
  }

  /** How populations of rows in ranges are drawn. */
  interface RangedContent {
    points: number;
    population: number;
    kept: number;
    most_tries: number;
    smallest_mass: number;
  }

  /** What is kept of a population. */
  interface Population {
    /** rows × columns, scaled */
    drawn: Float32Array;
    /** The log of the mass of the ranges, as it estimates it. */
    logMass: number;
    /** Index of each row's first ancestor among the candidates. */
    families: number[];
  }

  /** Rows with missing cells. */
  interface IncompleteRows {
    /** Text of the cells, by the model's columns; null for a missing cell. */
    texts: (string | null)[][];
    values: number[][];
    /** Columns in the order of the file, then those that it lacks. */
    order: number[];
    /** rows × width */
    known: Float32Array;
    /** Index of each row's class, or the number of classes if it is unknown; null without labels outside the table. */
    labels: Int32Array | null;
    /** Number of missing cells. */
    missing: number;
  }

  /** Drawn rows as columns of the table, in its units. */
  interface DrawnTable {
    rows: number;
    columns: DrawnColumn[];
    /** Columns in the order of a file. */
    order: number[];
    /** Effective number of rows in ranges. */
    effective?: number;
    /** Whether a cell was present in the incomplete table. */
    isGiven(row: number, column: number): boolean;
    fill(first: number, drawn: Float32Array, labels?: Int32Array): void;
    text(column: number, row: number): string;
    csv(): Promise<Blob>;
  }

  /** What a model's page is asked to draw. */
  interface Asked {
    rows: number;
    seed: number;
    /** Index of the class of all rows. */
    label?: number | null;
    guidance?: number;
    /** x_T, rows × columns that vary. */
    prior?: Float32Array;
    /** Tokens of mixed columns, or indices among the numbers that vary, with values in the table's units. */
    given?: [number, number][];
    incomplete?: IncompleteRows;
    /** Of a model of mixed columns. */
    conditions?: Condition[];
    /** Of a model of numbers. */
    ranges?: InRanges[];
    wishes?: Wish[];
  }

  /** What a model's page holds. */
  interface PageContent {
    kernel: string;
    numbers: string;
    columns: PageColumn[];
    pairs: PairsContent | null;
    rules: Rule[];
    rule_texts: string[];
    classes: {
      labels: (string | number | boolean)[];
      counts: number[];
      are_drawn: boolean;
      can_guide: boolean;
    } | null;
    can_fill: boolean;
    /** Of a model that was fitted with differential privacy. */
    privacy: { line: string; public: string } | null;
    model: PackedWeights & {
      id: string;
      kind: "numbers" | "mixed";
      columns: number;
      width: number;
      chunk: number;
      guided: number | null;
      bounds: [number[], number[]];
      ranges: RangedContent;
    };
  }

  /** A model in a study's page, which was held in it or trained in it. */
  interface StudyModelContent {
    id: string;
    dataset: string;
    title: string;
    network: string;
    prediction: string;
    columns: number;
    n_classes: number;
    time_embedding: number;
    class_embedding: number;
    variance: string;
    prior_kl?: number;
    sigma_data: number[];
    /** Base64, or numbers if it was trained in the page. */
    alpha: string | Float32Array;
    sigma: string | Float32Array;
    tensors?: Tensors;
  }

  interface StudyModel extends StudyModelContent {
    /** alpha and sigma, t = 0 … T. */
    schedule: Float32Array[];
    /** T */
    timesteps: number;
  }

  /** Rows that are drawn in a study's page. */
  interface Run {
    id: string;
    sampler: string;
    steps: number;
    seed: number;
    rows: number;
    variance?: string;
    guidance?: number;
    /** In order of the classes. */
    labels?: Int32Array | null;
    /** x_T, rows × columns. */
    prior?: Float32Array;
  }

  /** A training in the page. */
  interface Progress {
    model: StudyModelContent;
    dataset: StudyDataset;
    /** Held-out rows. */
    held: Float32Array;
    /** The rows that are learned. */
    rest: Float32Array;
    /** Seconds, and right answers of the two-sample test. */
    scores: [number, number][];
    begin: number;
    isMeasuring: boolean;
    /** Drawn points as a text; empty for others. */
    points: string;
    /** The name of its data set in the page; empty for others. */
    set: string;
  }

  /** What all steps of the explainer share. */
  interface Shown {
    set: string;
    model: StudyModel;
    dataset: StudyDataset;
  }

  /** Rows at one moment of their walk. */
  interface Frame {
    level: Level;
    x: Float32Array;
  }

  interface StudyDataset {
    names: string[];
    centre: number[];
    unit: number[];
    /** Base64. */
    rows?: string;
    /** rows × columns; the page adds them. */
    real: Float32Array;
    class_sizes: number[];
    axes: string[];
    origin: number[];
    directions: number[][];
    box: number[][];
    extent: number;
  }

  /** Rows of one draw: base64, unless some are not finite. */
  interface Draw {
    n: number;
    lost?: number;
    outside?: number;
    classes?: number[];
    rows?: string;
  }

  /** Values of a metric and a set, by setting. */
  interface Series {
    metric: string;
    set: string;
    value: (number | null)[];
    error: (number | null)[];
    baseline: (number | null)[];
    spread: (number | null)[];
    reported: (number | null)[];
    best: boolean[];
    isRanked: boolean;
    diverged: boolean[];
    text: string[];
    baselineText: string[];
  }

  interface Section {
    view: string;
    name: string;
    title: string;
    kind: "rows" | "classes" | "classifier";
    csv: string;
    chart: {
      x: number[] | null;
      xName: string;
      heads: string[];
      labels: string[];
      halfLength: number;
      metrics: [name: string, title: string][];
      rows: Series[];
    };
    draws: Record<string, string[]>;
  }

  interface ShownSection extends Section {
    root: HTMLElement;
  }

  interface ChartAxis {
    range: [number, number];
    log?: boolean;
    name?: string;
    /** Values that are written; round ones otherwise. */
    ticks?: number[];
    /** What is written at the ticks instead of their values. */
    texts?: string[];
    /** Values that the chart tells by mouse and keyboard, instead of the ticks. */
    stops?: number[];
    /** Whether the ticks are names, which stand side by side. */
    isCategory?: boolean;
  }

  interface Curve {
    name: string;
    color: number;
    /** Of its marks; without one it has none. */
    shape?: number | null;
    /** Of its line; without one it has none. */
    dash?: number | null;
    /** x, y (null: a gap), perhaps half of an error bar, and a class of the mark. */
    points: any[][];
    /** Numbers that others measured. */
    reported?: any[][];
    bands?: { x: number; middle: number; half: number }[];
  }

  interface ChartOptions {
    /** What it shows, for those who cannot see it. */
    label: string;
    x: ChartAxis;
    /** Without a range, all values are shown. */
    y?: Partial<ChartAxis>;
    series: Curve[];
    /** Dashed horizontal lines. */
    levels?: { at: number; name: string }[];
    /** An x that is marked. */
    marker?: number;
    /** The values at a stop of the x axis. */
    describe?: (i: number) => {
      head: string;
      lines: { color: number; name: string; text: string; more?: string }[];
    };
  }

  interface ChartHolder extends HTMLElement {
    chart?: (ChartOptions & { y: ChartAxis }) | null;
    watch?: ResizeObserver;
    /** Pixels of the stops. */
    stops?: number[];
    read?: (i: number | null, isSaid?: boolean) => void;
  }

  interface StudyContent {
    study: string;
    sets: Record<string, { axes: string[]; projected: boolean; real: Draw }>;
    sections: Section[];
  }

  /** Elements that have an id. */
  interface PageElements {
    // Of a model's page; null: not in all of them.
    content: HTMLElement;
    "worker-source": HTMLElement;
    form: HTMLFormElement;
    rows: HTMLInputElement;
    class: HTMLSelectElement | null;
    guided: HTMLElement | null;
    guidance: HTMLInputElement;
    "guidance-value": HTMLElement;
    seed: HTMLInputElement;
    draw: HTMLButtonElement;
    csv: HTMLButtonElement;
    progress: HTMLProgressElement;
    status: HTMLElement;
    given: HTMLElement | null;
    "given-cells": HTMLElement;
    conditions: HTMLElement;
    "condition-add": HTMLButtonElement;
    "condition-column": HTMLSelectElement;
    "rows-drawn": HTMLElement;
    pair: HTMLElement;
    x: HTMLSelectElement;
    y: HTMLSelectElement;
    scatter: HTMLCanvasElement;
    "scatter-note": HTMLElement;
    "first-rows": HTMLTableElement;
    guess: HTMLElement;
    "guess-picture": HTMLCanvasElement;
    "guess-note": HTMLElement;
    marginals: HTMLElement;
    more: HTMLElement;
    fill: HTMLFormElement;
    "table-text": HTMLTextAreaElement;
    "table-open": HTMLButtonElement;
    "table-file": HTMLInputElement;
    "filled-csv": HTMLButtonElement;
    "fill-progress": HTMLProgressElement;
    "fill-status": HTMLElement;
    "filled-rows": HTMLTableElement;
    "filled-note": HTMLElement;
    // Of a study's page.
    "page.data": HTMLElement;
    "page.draws": HTMLElement;
    "page.status": HTMLElement;
    "page.rows": HTMLTableElement;
    "page.how": HTMLElement;
    train: HTMLElement;
    "table-content": HTMLElement;
    "table-rows": HTMLElement;
    "live-content": HTMLElement;
    "trainer-content": HTMLElement;
  }

  /** Elements by selector; null where a page may lack the element. */
  interface PageParts {
    ".bar": HTMLElement;
    ".bars": HTMLElement;
    ".chart": HTMLElement;
    ".cursor": SVGElement | null;
    ".curves": SVGElement | null;
    ".clear": HTMLButtonElement;
    ".copy-link": HTMLButtonElement;
    ".curve": HTMLElement;
    ".done": HTMLElement;
    ".hero-stage": HTMLElement;
    ".keys": HTMLElement;
    ".legend": HTMLElement;
    ".losses": HTMLDetailsElement | null;
    ".menu a": HTMLAnchorElement;
    ".menu-button": HTMLButtonElement;
    ".panels": HTMLElement;
    ".play": HTMLButtonElement;
    ".plot": HTMLElement;
    ".progress span": HTMLElement;
    ".readout": HTMLElement;
    ".rows": HTMLElement | null;
    ".save": HTMLButtonElement;
    ".start": HTMLButtonElement;
    ".svg": HTMLButtonElement;
    ".table-panel": HTMLElement;
    ".theme-button": HTMLButtonElement;
    ".time": HTMLInputElement;
    ".value": HTMLElement;
    ".without": HTMLElement;
    "[data-live]": HTMLElement;
    "[data-panel]": HTMLButtonElement;
    "[data-sets]": HTMLElement;
    "[name=csv]": HTMLButtonElement;
    "[name=link]": HTMLButtonElement;
    "[name=class]": HTMLSelectElement;
    "[name=evaluations]": HTMLInputElement;
    "[name=metric]": HTMLSelectElement;
    "[name=model]": HTMLSelectElement;
    "[name=reported]": HTMLInputElement | null;
    "[name=classes]": HTMLInputElement | null;
    "[name=sampler]": HTMLSelectElement;
    "[name=set]": HTMLSelectElement;
    "[name=source]": HTMLSelectElement;
    "[name=w]": HTMLInputElement;
    "input[type=file]": HTMLInputElement;
    "thead th": HTMLTableCellElement;
    button: HTMLButtonElement;
    canvas: HTMLCanvasElement;
    input: HTMLInputElement;
    b: HTMLElement;
    "[role=region]": HTMLElement;
    select: HTMLSelectElement;
    table: HTMLTableElement;
    tbody: HTMLTableSectionElement;
  }

  interface Document {
    getElementById<Id extends keyof PageElements>(id: Id): PageElements[Id];
  }

  interface ParentNode {
    querySelector<Selector extends keyof PageParts>(selector: Selector): PageParts[Selector];
    querySelector<Step extends string>(selector: `[data-step="${Step}"]`): HTMLElement;
    querySelectorAll<Selector extends keyof PageParts>(
      selector: Selector,
    ): NodeListOf<NonNullable<PageParts[Selector]>>;
  }

  interface Element {
    closest(selector: "figure" | "label"): HTMLElement;
    closest(selector: 'a[href^="#"]'): HTMLAnchorElement | null;
  }
}

export {};
