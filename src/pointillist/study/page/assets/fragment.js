/** The page's state in the URL's fragment, `#view?key=value&key=value`, so that a link restores a view. */

/** Last parameters of each view, so that going to another view and back loses nothing. */
const kept = new Map();
/** @type {{view: string, callback: (params: URLSearchParams) => void}[]} */
const listeners = [];

const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Returns the view and its parameters. */
const read = () => {
  const [view, ...rest] = location.hash.slice(1).split("?");
  return { view: decoded(view), params: new URLSearchParams(rest.join("?")) };
};

const hash = (view, params) => `#${encodeURIComponent(view)}${String(params) && `?${params}`}`;

/**
 * Sets the view and its parameters in the fragment.
 * @param {URLSearchParams} params
 */
const write = (view, params) => {
  kept.set(view, new URLSearchParams(params));
  try {
    history.replaceState(null, "", hash(view, kept.get(view)));
  } catch {
    // Some browsers limit the rate; the next call has all parameters.
  }
};

/**
 * Changes some parameters of a view; null or "" removes one.
 * @param {Record<string, string | null>} changes
 */
const change = (view, changes) => {
  const params = new URLSearchParams(kept.get(view));
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") params.delete(key);
    else params.set(key, value);
  }
  write(view, params);
};

/**
 * Calls back at once and whenever the fragment changes, if it names the view.
 * @param {(params: URLSearchParams) => void} callback
 */
const onRestore = (view, callback) => {
  listeners.push({ view, callback });
  const now = read();
  if (now.view === view) callback(now.params);
};

const restore = () => {
  const now = read();
  kept.set(now.view, now.params);
  for (const { view, callback } of listeners) if (view === now.view) callback(now.params);
};

restore();
addEventListener("hashchange", restore);
Object.assign(window.pointillist, { fragment: { read, write, change, onRestore } });
