/* Categorical columns: each category has a token value. */

const { columnKinds, sharesOf, tokenOf } = window.pointillist;

columnKinds.category = (column) => {
  const { categories = [], counts } = column;
  const made = tokenOf(column, { decode: (token) => token, encode: (value) => [value, NaN], values: [...categories.keys()] });
  return {
    ...made,
    few: made.choices,
    nominal: categories.map(String),
    allowed: ({ values }) => made.inSet(values, (value) => value),
    shares: counts ? sharesOf(counts).slice(0, categories.length) : undefined,
  };
};
