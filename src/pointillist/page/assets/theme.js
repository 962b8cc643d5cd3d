/** What scripts of the page share with later ones. */
window.pointillist = {};

/** Dark and light: the system's choice, until the button makes another one. Runs before anything is drawn. */

const KEY = "pointillist-theme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

root.classList.add("js");

/** Storage may be forbidden for a file that is opened from a disk. */
const stored = (write) => {
  try {
    return write ? localStorage.setItem(KEY, write) : localStorage.getItem(KEY);
  } catch {
    return null;
  }
};

const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

const mark = () => document.querySelector(".theme-button")?.setAttribute("aria-pressed", String(isDark()));

const announce = () => {
  mark();
  document.dispatchEvent(new Event("pointillist:theme"));
};

const chosen = stored();
if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
system.addEventListener("change", announce);
document.addEventListener("DOMContentLoaded", () => {
  document.querySelector(".theme-button").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    announce();
  });
  mark();
});
