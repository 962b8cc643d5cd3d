"use strict";
/* Relations between columns, which drawn rows obey as the training rows do. */

(() => {
  const { bounded, clamp, unitOf } = window.pointillist;

  /** Number of passes over all relations, and most passes for a row that still breaks one. */
  const [TURNS, MOST_TURNS] = [4, 20];

  /** Most units of its last digit by which a term moves to make a product exact. */
  const STEPS = 50;

  /**
   * Restores relations in some rows.
   * @param {(Relation | Lookup)[]} relations
   * @param {DrawnColumn[]} columns by token
   * @param {number} first
   * @param {number} rows
   * @param {(row: number, token: number) => boolean} isGiven which cells stay as they are
   * @param {boolean} isStrict whether no number ever leaves its column's range or bounds, as under conditions
   * @returns {(Relation | Lookup)[]} those that rows break all the same; of rows without conditions, none is named
   */
  function restore(relations, columns, first, rows, isGiven, isStrict = false) {
    /** @type {Lookup[]} */
    const lookups = [];
    /** @type {Relation[]} */
    const others = [];
    for (const each of relations) {
      if ("table" in each) lookups.push(each);
      else others.push(each);
    }
    const known = givenThrough(others, columns, first, rows, isGiven, isStrict);
    /** @type {Set<number>} rows that obey all relations, under conditions */
    const done = new Set();
    const isFixed = (row, token) => done.has(row) || known.has(row * columns.length + token) || isGiven(row, token);
    const isBroken = (row) => (each) => breaks(each, columns, row);
    // What is looked up changes for other relations only where nothing else can.
    const held = new Set(lookups.flatMap(({ column, terms, is_followed }) => (is_followed ? terms : [column, ...terms])));
    const isHeld = (row, token) => held.has(token) || isFixed(row, token);
    const lookUp = () => lookups.forEach((each) => restoreLookup(each, columns, first, rows, isFixed));
    for (let turn = 0; turn < MOST_TURNS && done.size < rows; turn++) {
      const how = { isStrict, isLast: false, shift: Math.max(turn - TURNS + 1, 0) };
      lookUp();
      for (const each of others) {
        const isOrder = !each[2].length;
        if (isOrder && turn > 0 && how.shift < 2) continue;
        if (isOrder || lookups.length) restoreOnce(each, columns, first, rows, isHeld, how);
        if (!isOrder) restoreOnce(each, columns, first, rows, isFixed, { ...how, isLast: turn >= TURNS - 1 });
      }
      // Rows that obey all of them stay as they are.
      for (let r = first; turn >= TURNS - 1 && r < first + rows; r++) if (!relations.some(isBroken(r))) done.add(r);
    }
    lookUp();
    const left = Array.from({ length: isStrict ? rows : 0 }, (_, i) => first + i).filter((r) => !done.has(r));
    return relations.filter((each) => left.some((r) => breaks(each, columns, r)));
  }

  /** Whether a row without missing cells breaks a relation by more than rounding explains. */
  function breaks(relation, columns, row) {
    if ("table" in relation) {
      const { column, terms, table } = relation;
      const cells = terms.map((token) => columns[token].values[row]);
      const at = rowOf(relation).get(columns[column].values[row]);
      if (at === undefined || cells.some(Number.isNaN)) return false;
      return cells.some((value, k) => table[at][k + 1] !== value);
    }
    const [column, terms, factors, constant, power, name, isExact] = relation;
    const own = [column, ...terms].map((token) => columns[token]);
    const values = own.map((each) => each.values[row]);
    if (values.some(Number.isNaN)) return false;
    if (!factors.length) return values[0] < values[1];
    if (power) return productOf(own, factors[0], power).isOff(values, isExact);
    return sumOf(own, [-1, ...factors], constant, name).isOff(values, true);
  }

  /**
   * Solves sums and functions for the only column that is not given, which is given then, until none is left.
   * @param {Relation[]} relations
   * @param {DrawnColumn[]} columns
   * @returns {Set<number>} row × number of columns + token of each
   */
  function givenThrough(relations, columns, first, rows, isGiven, isStrict) {
    const known = new Set();
    const isFixed = (row, token) => known.has(row * columns.length + token) || isGiven(row, token);
    const solvable = relations.filter(([, , factors, , power]) => factors.length && !power);
    for (let found = true; found; ) {
      found = false;
      for (const each of solvable) {
        const [column, terms, factors, constant, , name] = each;
        const [inside, inverse] = functions[name];
        for (let r = first; r < first + rows; r++) {
          const places = [column, ...terms];
          const free = places.filter((token) => !isFixed(r, token));
          if (free.length !== 1 || places.some((token) => Number.isNaN(columns[token].values[r]))) continue;
          restoreOnce(each, columns, r, 1, isFixed, { isStrict, isLast: true, shift: 0 });
          // What has no such value is not fixed by others, and may change for them.
          const [own, term] = places.map((token) => columns[token].values[r]);
          const solved = free[0] === column ? inside(term) : inverse((own - constant) / factors[0], term);
          if (!Number.isFinite(solved)) continue;
          known.add(r * columns.length + free[0]);
          found = true;
        }
      }
    }
    return known;
  }

  /**
   * @param {Relation} relation
   * @param {DrawnColumn[]} columns
   */
  function restoreOnce(relation, columns, first, rows, isFixed, { isStrict, isLast, shift }) {
    const [column, terms, factors, constant, power, name, isExact] = relation;
    const own = [column, ...terms].map((token) => columns[token]);
    for (let r = first; r < first + rows; r++) {
      const free = [column, ...terms].map((token) => !isFixed(r, token));
      const values = own.map((each) => each.values[r]);
      if (values.some(Number.isNaN)) continue;
      const canLeave = isLast && !isStrict;
      if (power) restoreProduct(values, own, free, shift, factors[0], power, isExact, canLeave);
      else if (factors.length) restoreSum(values, own, free, inTurn(own, shift), [-1, ...factors], constant, name, canLeave);
      else restoreOrder(values, own, free, isStrict);
      own.forEach((each, i) => (each.values[r] = values[i]));
    }
  }

  /** @type {WeakMap<Lookup, Map<number, number>>} the row of each value in a lookup's table */
  const rowsOf = new WeakMap();

  /** @param {Lookup} lookup */
  function rowOf(lookup) {
    const known = rowsOf.get(lookup) ?? new Map(lookup.table.map(([value], i) => [value, i]));
    rowsOf.set(lookup, known);
    return known;
  }

  /**
   * Restores the columns that another one decides; the column itself takes its nearest value that agrees with those that
   * are fixed, or come before it.
   * @param {Lookup} lookup
   * @param {DrawnColumn[]} columns
   */
  function restoreLookup(lookup, columns, first, rows, isFixed) {
    const { column, terms, table, is_followed: isFollowed } = lookup;
    const [own, decided] = [columns[column].values, terms.map((token) => columns[token].values)];
    for (let r = first; r < first + rows; r++) {
      let at = rowOf(lookup).get(own[r]);
      if (at === undefined || decided.some((values) => Number.isNaN(values[r]))) continue;
      const agrees = (i, k) => table[i][k + 1] === decided[k][r];
      const fixed = terms.map((token) => isFixed(r, token));
      if (terms.every((_, k) => agrees(at, k))) continue;
      if (!isFollowed && !isFixed(r, column)) {
        const before = terms.map((token, k) => fixed[k] || token < column);
        at = nearestRow(table, at, before, agrees) ?? nearestRow(table, at, fixed, agrees) ?? at;
      }
      own[r] = table[at][0];
      decided.forEach((values, k) => fixed[k] || (values[r] = table[at][k + 1]));
    }
  }

  /** The nearest row of a table that agrees with some columns; undefined if none does, or there are no such columns. */
  function nearestRow(table, at, which, agrees) {
    if (!which.includes(true)) return undefined;
    let found;
    for (let i = 0; i < table.length; i++) {
      if (found !== undefined && Math.abs(i - at) >= Math.abs(found - at)) continue;
      if (which.every((isAsked, k) => !isAsked || agrees(i, k))) found = i;
    }
    return found;
  }

  /** The largest size of a column's numbers. */
  const largestOf = ({ ends: [low, high] }) => Math.max(Math.abs(low), Math.abs(high));

  /** What is so small beside a column's numbers that it counts for nothing: the rounding of those that have digits. */
  function smallOf(column) {
    const largest = largestOf(column);
    return largest * (largest < 2 ** 52 * unitOf(column) ? 2 ** -50 : 1e-9);
  }

  /** The range of a column, or the part of it within the bounds of a condition. */
  function rangeOf({ ends, bounds }) {
    return bounds ? [Math.max(ends[0], bounds[0]), Math.min(ends[1], bounds[1])] : ends;
  }

  /** The nearest number of a column's range. */
  const fitted = (column, number) => column.round(clamp(column.round(number), ...rangeOf(column)));

  /** A number in a column; what does not fit in there is left to the next column. */
  function put(column, number, canLeave) {
    const [wanted, fits] = [column.round(number), fitted(column, number)];
    return canLeave && column.scores && Math.abs(wanted - fits) > smallOf(column) ? wanted : fits;
  }

  /** The order in which columns move: those in ranges last, then rotated by `shift`. */
  function inTurn(columns, shift = 0) {
    const places = columns.map((_, i) => i);
    const order = [...places.filter((i) => !columns[i].bounds), ...places.filter((i) => columns[i].bounds)];
    const first = shift % order.length;
    return [...order.slice(first), ...order.slice(0, first)];
  }

  /**
   * Functions of the term of a sum, each with its inverse, which is given what the number was.
   * @type {Record<string, [(x: number) => number, (z: number, x: number) => number]>}
   */
  const functions = {
    "": [(x) => x, (z) => z],
    log: [Math.log, Math.exp],
    log1p: [Math.log1p, Math.expm1],
    exp: [Math.exp, Math.log],
    square: [(x) => x * x, (z, x) => Math.sign(x || 1) * Math.sqrt(z)],
    sqrt: [Math.sqrt, (z) => (z < 0 ? NaN : z * z)],
    reciprocal: [(x) => 1 / x, (z) => 1 / z],
  };

  /** A sum: the first value is the sum of the others, each with its weight, or of a function of the only other. */
  function sumOf(own, weights, constant, name) {
    const [inside] = functions[name];
    const part = (value, k) => weights[k] * (k ? inside(value) : value);
    const total = (values, without = -1) =>
      values.reduce((sum, value, k) => sum + (k === without ? 0 : part(value, k)), constant);
    // A sum of large numbers may be small, and is known no better than they are.
    const sizes = own.reduce((sum, column, k) => sum + Math.abs(weights[k]) * largestOf(column), 0);
    const unknown = (values) => (name ? 1e-9 * Math.abs(values[0]) : smallOf(own[0]) + 2 ** -50 * sizes);
    // How far training rows may be off a function: a unit where it lies between two, and single precision.
    const blur = ([value]) => (name ? unitOf(own[0]) + 1e-5 * Math.abs(value) : 0);
    const isOff = (values, isLoose = false) =>
      Math.abs(total(values)) > 0.5 * unitOf(own[0]) + unknown(values) + (isLoose ? blur(values) : 0);
    return { total, isOff };
  }

  function restoreSum(values, own, free, order, weights, constant, name, canLeave) {
    const { total, isOff } = sumOf(own, weights, constant, name);
    const [, inverse] = functions[name];
    for (const i of order) {
      if (!isOff(values)) return;
      // Without the term, which may be so large that nothing else would be left.
      const solved = -total(values, i) / weights[i];
      const wanted = i ? inverse(solved, values[i]) : solved;
      if (free[i] && Number.isFinite(wanted)) values[i] = put(own[i], wanted, canLeave);
    }
  }

  /** A product: the first value is factor × the second × the sum of the others to a power, 1 or -1. */
  function productOf(own, factor, power) {
    // Whole numbers are counts, and exact.
    const units = own.map((column, i) => (i && unitOf(column) >= 1 ? 0 : unitOf(column)));
    const sum = (of) => of.slice(2).reduce((total, value) => total + value, 0);
    const solved = (values, i) => {
      const [column, first] = values;
      if (i === 0) return factor * first * sum(values) ** power;
      if (i === 1) return column / (factor * sum(values) ** power);
      return (column / (factor * first)) ** power - (sum(values) - values[i]);
    };
    const isOff = (values, isExact) => {
      const wanted = solved(values, 0);
      const [first, rest] = [values[1], sum(values)].map(Math.abs);
      const ofTerms = units[1] * rest ** power + sum(units) * first * rest ** (power - 1);
      const slack = isExact ? 0 : Math.abs(factor) * ofTerms;
      return Number.isFinite(wanted) && Math.abs(values[0] - wanted) > 0.5 * (units[0] + slack) + smallOf(own[0]);
    };
    return { solved, isOff };
  }

  function restoreProduct(values, own, free, shift, factor, power, isExact, canLeave) {
    const { solved, isOff } = productOf(own, factor, power);
    const isFound = () => searched(values, own, free, { solved, isOff }, isExact);
    if (!isOff(values, true) || (shift && isFound())) return;
    for (const i of inTurn(own, shift)) {
      const wanted = solved(values, i);
      if (free[i] && Number.isFinite(wanted)) values[i] = put(own[i], wanted, canLeave);
      if (!isOff(values, isExact)) return;
    }
    isFound();
  }

  /**
   * Searches the nearest values with which a product is exact: one term moves by a few units, another is solved for (or
   * moved one unit further), and the column becomes the rounded product if it is free.
   * @returns {boolean} whether there are some
   */
  function searched(values, own, free, { solved, isOff }, isExact) {
    const terms = own.map((_, i) => i).slice(1);
    const pairs = terms.flatMap((moved) => terms.filter((other) => other !== moved).map((other) => [moved, other]));
    for (const [moved, other] of pairs.filter(([, other]) => free[other])) {
      for (let size = 0; size <= (free[moved] ? STEPS : 0); size++) {
        for (const step of size ? [-size, size] : [0]) {
          for (const nextTo of [0, -1, 1]) {
            const tried = [...values];
            if (step) tried[moved] = fitted(own[moved], tried[moved] + step * unitOf(own[moved]));
            tried[other] = fitted(own[other], solved(tried, other) + nextTo * unitOf(own[other]));
            const isNear = !isOff(tried, false);
            if (free[0]) tried[0] = fitted(own[0], solved(tried, 0));
            if (!isNear || !tried.every(Number.isFinite) || isOff(tried, isExact)) continue;
            tried.forEach((value, i) => (values[i] = value));
            return true;
          }
        }
      }
    }
    return false;
  }

  function restoreOrder(values, own, free, isStrict) {
    for (const i of inTurn(own)) {
      const sign = i ? -1 : 1;
      if (!(values[0] < values[1]) || !free[i]) continue;
      const other = values[1 - i];
      // As far on the other side, if the column goes so far.
      const turned = fitted(own[i], 2 * other - values[i]);
      const nearest = bounded(own[i], other, sign);
      values[i] = sign * turned >= sign * other ? turned : isStrict ? fitted(own[i], nearest) : nearest;
    }
  }

  Object.assign(window.pointillist, { restore });
})();
