/* Restores rules in drawn rows, with one object per kind of rule, as Python's `rules` does. */

const { bounded, clamp, unitOf } = window.pointillist;

/** Number of passes over all rules, and largest number for a row that still breaks one. */
const [TURNS, MOST_TURNS] = [4, 20];

/** Largest change of a factor, in units of its last digit, that makes a product exact. */
const STEPS = 50;

const [EXACT, NULL] = [2 ** -50, 1e-9];

/** Largest absolute value in a column's range. */
const largestOf = ({ ends: [low, high] }) => Math.max(Math.abs(low), Math.abs(high));

/** Largest error that counts as rounding of the column's numbers. */
function negligible(column) {
  const largest = largestOf(column);
  return largest * (largest < 2 ** 52 * unitOf(column) ? EXACT : NULL);
}

/** The range of a column, cut to the bounds of a condition. */
function rangeOf({ ends, bounds }) {
  return bounds ? [Math.max(ends[0], bounds[0]), Math.min(ends[1], bounds[1])] : ends;
}

/** Rounds a number and moves it into the column's range; with `canLeave`, a number outside the range stays. */
function fitted(column, number, canLeave = false) {
  const wanted = column.round(number);
  const fits = column.round(clamp(wanted, ...rangeOf(column)));
  return canLeave && column.scores && Math.abs(wanted - fits) > negligible(column) ? wanted : fits;
}

/** Order in which columns are changed: bounded columns last, then rotated by `shift`. */
function orderOfMoves(columns, first = 0, shift = 0) {
  const rank = (i) => (columns[i].bounds ? 2 * columns.length : 0) + (i === first ? -1 : i);
  const order = columns.map((_, i) => i).sort((i, j) => rank(i) - rank(j));
  const start = shift % order.length;
  return [...order.slice(start), ...order.slice(0, start)];
}

/**
 * A rule that is an equation: the residual is 0, up to rounding.
 *
 * @param {(values: number[], rule: Rule) => number} residual the first value minus the value that the others determine
 * @param {(values: number[], rule: Rule) => number[]} gradient its derivatives
 * @param {{isSearched?: boolean, solution?: (values: number[], rule: Rule, i: number) => number}} [how] whether to search
 *   for nearby values if solving for one column fails; and value i given the others, if not linear in each column
 * @returns {RuleKind}
 */
function equation(residual, gradient, { isSearched = false, solution } = {}) {
  function solve(rule, values, i) {
    if (solution) return solution(values, rule, i);
    // The column itself may be so large that rounding hides the others.
    const others = values.map((value, k) => (k === i ? 0 : value));
    return -residual(others, rule) / gradient(others, rule)[i];
  }

  function isOff(rule, columns, values, isExact) {
    const { solved } = rule;
    const slopes = gradient(values, rule).map(Math.abs);
    const error = Math.abs(residual(values, rule)) / slopes[solved];
    let within = 0.5 * unitOf(columns[solved]) + negligible(columns[solved]);
    columns.forEach((column, i) => {
      // Integers are counts, and exact.
      const rounding = i === solved || unitOf(column) >= 1 ? 0 : unitOf(column);
      const loose = isExact ? 0 : 0.5 * rounding + NULL * Math.abs(values[i]);
      within += (slopes[i] / slopes[solved]) * (loose + EXACT * largestOf(column));
    });
    return Number.isFinite(error) && error > within;
  }

  /** Searches for the nearest values that obey the rule: changes one column by units, and calculates two others. */
  function search(rule, columns, values, free) {
    const others = columns.map((_, i) => i).filter((i) => i !== rule.solved);
    for (const moved of others) {
      for (const other of others.filter((i) => i !== moved && free[i])) {
        for (let size = 0; size <= (free[moved] ? STEPS : 0); size++) {
          for (const step of size ? [-size, size] : [0]) {
            for (const nextTo of [0, -1, 1]) {
              const tried = [...values];
              if (step) tried[moved] = fitted(columns[moved], tried[moved] + step * unitOf(columns[moved]));
              tried[other] = fitted(columns[other], solve(rule, tried, other) + nextTo * unitOf(columns[other]));
              const isNear = !isOff(rule, columns, tried, false);
              if (free[rule.solved]) tried[rule.solved] = fitted(columns[rule.solved], solve(rule, tried, rule.solved));
              if (!isNear || !tried.every(Number.isFinite) || isOff(rule, columns, tried, rule.is_exact)) continue;
              tried.forEach((value, i) => (values[i] = value));
              return true;
            }
          }
        }
      }
    }
    return false;
  }

  function restoreOnce(rule, columns, values, free, { shift, canLeave }) {
    if (!isOff(rule, columns, values, true) || (shift && isSearched && search(rule, columns, values, free))) return;
    for (const i of orderOfMoves(columns, rule.solved, shift)) {
      const wanted = free[i] ? solve(rule, values, i) : NaN;
      if (Number.isFinite(wanted)) values[i] = fitted(columns[i], wanted, canLeave);
      if (!isOff(rule, columns, values, rule.is_exact)) return;
    }
    if (isSearched) search(rule, columns, values, free);
  }

  return {
    breaks: (rule, columns, values) => isOff(rule, columns, values, rule.is_exact),
    restore(rule, columns, values, { free, reserved, ...how }) {
      if (reserved !== free) restoreOnce(rule, columns, values, reserved, { ...how, canLeave: false });
      restoreOnce(rule, columns, values, free, how);
    },
    determine(rule, columns, values, i, canLeave) {
      const wanted = solve(rule, values, i);
      if (!Number.isFinite(wanted)) return false;
      if (isOff(rule, columns, values, true)) values[i] = fitted(columns[i], wanted, canLeave);
      return true;
    },
    reserved: () => [],
  };
}

const sum = equation(
  (values, { factors, constant }) => factors.reduce((rest, f, i) => rest - f * values[i + 1], values[0] - constant),
  (_, { factors }) => [1, ...factors.map((f) => -f)],
);

const total = (values) => values.slice(2).reduce((all, value) => all + value, 0);

const product = equation(
  (values, { factor }) => values[0] - factor * values[1] * total(values),
  (values, { factor }) => values.map((_, i) => (i ? -factor * (i === 1 ? total(values) : values[1]) : 1)),
  { isSearched: true },
);

const power = equation(
  ([value, base], { factor, exponent }) => value - factor * base ** exponent,
  ([, base], { factor, exponent }) => [1, -factor * exponent * base ** (exponent - 1)],
  {
    solution: ([value, base], { factor, exponent }, i) =>
      i ? (value / factor) ** (1 / exponent) : factor * base ** exponent,
  },
);

/** The value of one column with which a row obeys an inequality, or as near to that as the column's range allows. */
function moved(rule, columns, values, i, isStrict) {
  const [column, sign] = [columns[i], Math.sign(rule.factors[i])];
  const breaks = (value) => inequality.breaks(rule, columns, values.with(i, value));
  const limit = -excess(rule, values.with(i, 0)) / rule.factors[i];
  const mirrored = fitted(column, 2 * limit - values[i]);
  if (!breaks(mirrored)) return mirrored;
  let nearest = bounded(column, limit, sign);
  if (breaks(nearest)) {
    const unit = unitOf(column);
    const next = nearest + sign * (Math.abs(nearest) * 2 ** -52 || Number.MIN_VALUE);
    nearest = unit ? bounded(column, nearest + 0.5 * sign * unit, sign) : next;
  }
  return column.scores && !isStrict ? nearest : fitted(column, nearest);
}

/** The sum that an inequality compares with 0. */
const excess = ({ factors, constant }, values) => factors.reduce((all, f, i) => all + f * values[i], constant);

/** @type {RuleKind} a sum of multiples of the values is at least 0, or above 0 */
const inequality = {
  breaks(rule, columns, values) {
    const { factors, constant, is_strict: isStrict } = rule;
    const isExact = factors.length === 1 || (factors.length === 2 && !constant && factors[0] === -factors[1]);
    const largest = factors.reduce((all, f, i) => all + Math.abs(f) * largestOf(columns[i]), Math.abs(constant));
    const within = isExact ? 0 : EXACT * largest;
    return isStrict ? excess(rule, values) <= within : excess(rule, values) < -within;
  },
  restore(rule, columns, values, { free, reserved, shift, isFirst, isStrict }) {
    const { is_declared: isDeclared } = rule;
    for (const may of isFirst ? [reserved, free].slice(0, isDeclared ? 2 : 1) : []) {
      for (const i of orderOfMoves(columns, 0, isDeclared ? Math.max(shift - 2, 0) : 0)) {
        if (may[i] && inequality.breaks(rule, columns, values)) values[i] = moved(rule, columns, values, i, isStrict);
      }
    }
  },
  reserved: () => [],
};

/** @type {RuleKind} the value is a multiple of a step, to which the column's grid rounds it */
const increment = {
  breaks: (_, [column], [value]) => column.round(value) !== value,
  restore(_, [column], values, { free, canLeave }) {
    if (free[0]) values[0] = fitted(column, values[0], canLeave);
  },
  reserved: () => [],
};

/** @type {WeakMap<Rule, Map<number, number>>} row of each value in a lookup's table */
const rowsOf = new WeakMap();

/** @param {Rule} rule */
function rowOf(rule, value) {
  const known = rowsOf.get(rule) ?? new Map(rule.table.map(([key], i) => [key, i]));
  rowsOf.set(rule, known);
  return known.get(value);
}

/** Index of the nearest table row that agrees with some columns; undefined without one, or without columns. */
function nearestRow(table, at, which, values) {
  if (!which.includes(true)) return undefined;
  /** @type {number | undefined} */
  let found;
  table.forEach((row, i) => {
    if (found !== undefined && Math.abs(i - at) >= Math.abs(found - at)) return;
    if (which.every((isAsked, k) => !isAsked || row[k + 1] === values[k + 1])) found = i;
  });
  return found;
}

/** @type {RuleKind} the first value determines the others */
const lookup = {
  breaks(rule, _, values) {
    const at = rowOf(rule, values[0]);
    return at !== undefined && values.some((value, k) => rule.table[at][k] !== value);
  },
  restore(rule, columns, values, { free }) {
    let at = rowOf(rule, values[0]);
    if (at === undefined || !lookup.breaks(rule, columns, values)) return;
    if (!rule.is_followed && free[0]) {
      const fixed = free.slice(1).map((isFree) => !isFree);
      const before = fixed.map((isFixed, k) => isFixed || rule.columns[k + 1] < rule.columns[0]);
      at = nearestRow(rule.table, at, before, values) ?? nearestRow(rule.table, at, fixed, values) ?? at;
    }
    rule.table[at].forEach((value, k) => (values[k] = k && !free[k] ? values[k] : value));
  },
  reserved: ({ columns, is_followed: isFollowed }) => (isFollowed ? columns.slice(1) : columns),
};

/** @type {WeakMap<Rule, Set<string>>} rows of a table of combinations, as text */
const combinationsOf = new WeakMap();

/** @type {RuleKind} the values form a row of a table, the most frequent first */
const combination = {
  breaks(rule, _, values) {
    const known = combinationsOf.get(rule) ?? new Set(rule.table.map((row) => row.join()));
    combinationsOf.set(rule, known);
    return !known.has(values.join());
  },
  restore(rule, columns, values, { free }) {
    if (!combination.breaks(rule, columns, values)) return;
    let [best, most] = [values, -1];
    for (const row of rule.table) {
      if (row.some((value, k) => !free[k] && value !== values[k])) continue;
      const agree = row.filter((value, k) => value === values[k]).length;
      if (agree > most) [best, most] = [row, agree];
    }
    best.forEach((value, k) => (values[k] = value));
  },
  reserved: ({ columns }) => columns,
};

/** @type {Record<string, RuleKind>} */
const KINDS = { sum, power, product, inequality, lookup, combination, increment };

/**
 * Restores rules in some rows.
 *
 * @param {Rule[]} rules
 * @param {DrawnColumn[]} columns by token
 * @param {(row: number, token: number) => boolean} isGiven whether a cell must not change
 * @param {boolean} isStrict whether numbers must stay within their column's range and bounds, as under conditions
 * @returns {Rule[]} the rules that rows still break; only if `isStrict`
 */
function restoreRules(rules, columns, first, rows, isGiven, isStrict = false) {
  const reserved = new Set(rules.flatMap((rule) => KINDS[rule.kind].reserved(rule)));
  /** @type {Set<Rule>} */
  const left = new Set();
  for (let row = first; row < first + rows; row++) {
    for (const rule of restoreRow(rules, columns, row, isGiven, isStrict, reserved)) left.add(rule);
  }
  return isStrict ? rules.filter((rule) => left.has(rule)) : [];
}

/** Restores rules in a row; returns the rules that it still breaks. */
function restoreRow(rules, columns, row, isGiven, isStrict, reserved) {
  const fixed = new Set(columns.map((_, token) => token).filter((token) => isGiven(row, token)));
  const inRow = (rule, change) => {
    const ruleColumns = rule.columns.map((token) => columns[token]);
    const values = ruleColumns.map((column) => column.values[row]);
    if (values.some(Number.isNaN)) return false;
    const result = change(KINDS[rule.kind], ruleColumns, values);
    ruleColumns.forEach((column, i) => (column.values[row] = values[i]));
    return result;
  };
  // Cells that fixed cells determine are fixed too.
  const isDetermined = (rule) => {
    const free = rule.columns.filter((token) => !fixed.has(token));
    if (free.length !== 1 || !KINDS[rule.kind].determine) return false;
    const i = rule.columns.indexOf(free[0]);
    const isSolved = inRow(rule, (kind, columns, values) => kind.determine(rule, columns, values, i, !isStrict));
    if (isSolved) fixed.add(free[0]);
    return isSolved;
  };
  while (rules.filter(isDetermined).length);
  const restoreRule = (rule, turn) => {
    const shift = Math.max(turn - TURNS + 1, 0);
    const free = rule.columns.map((token) => !fixed.has(token));
    const how = {
      free,
      reserved: reserved.size ? rule.columns.map((token, i) => free[i] && !reserved.has(token)) : free,
      shift,
      isStrict,
      canLeave: turn >= TURNS - 1 && !isStrict,
      isFirst: turn === 0 || shift > 1,
    };
    inRow(rule, (kind, columns, values) => kind.restore(rule, columns, values, how));
  };
  const broken = () => rules.filter((rule) => inRow(rule, (kind, columns, values) => kind.breaks(rule, columns, values)));
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    for (const rule of rules) restoreRule(rule, turn);
    if (turn >= TURNS - 1 && !broken().length) return [];
  }
  for (const rule of rules) if (KINDS[rule.kind].reserved(rule).length) restoreRule(rule, 0);
  return broken();
}

Object.assign(window.pointillist, { restoreRules });
