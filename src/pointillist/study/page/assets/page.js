/** The page's shared state, navigation and links. */

const { fragment } = window.pointillist;
/** @type {StudyContent} */
const data = JSON.parse(document.getElementById("page.data").textContent);

/** Whether the user prefers little motion. */
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** @param {() => void} callback */
const onTheme = (callback) => document.addEventListener("pointillist:theme", callback);

/** Announces a text to screen readers. */
const say = (text) => {
  document.getElementById("page.status").textContent = text;
};

/**
 * The sections, each with its element.
 * @type {ShownSection[]}
 */
const sections = data.sections.flatMap((of) => {
  const root = document.getElementById(of.view);
  return root ? [{ ...of, root }] : [];
});

/**
 * @param {ShownSection} section
 * @param {string[]} parts
 */
const fileName = (section, ...parts) =>
  [data.study, section.name, ...parts].join("-").replace(/[^\w.-]+/g, "_");

/** Work that is postponed until the first picture is drawn, then done piece by piece. */
/** @type {(() => void)[]} */
const waiting = [];
/** @param {() => void} work */
const later = (work) => waiting.push(work);

/** Does all postponed work at once, because a link may lead there. */
function finish() {
  while (waiting.length) waiting.shift()?.();
  document.documentElement.dataset.isReady = "true";
}

function proceed() {
  try {
    waiting.shift()?.();
  } finally {
    // An error is reported, and the rest is still done.
    if (waiting.length) setTimeout(proceed);
    else finish();
  }
}

/**
 * Follows a dragging pointer; a pointer that hardly moves is a click.
 * @param {HTMLElement} target
 * @param {object} acts
 * @param {(event: PointerEvent) => boolean} [acts.begin] returns whether to follow the pointer
 * @param {(dx: number, dy: number, event: PointerEvent) => void} acts.move
 * @param {(event: PointerEvent) => void} [acts.click]
 */
function onDrag(target, { begin = () => true, move, click = () => {} }) {
  /** @type {{first: PointerEvent, last: PointerEvent, isFar: boolean} | null} */
  let drag = null;
  target.addEventListener("pointerdown", (event) => {
    if (!begin(event)) return;
    drag = { first: event, last: event, isFar: false };
    target.setPointerCapture(event.pointerId);
  });
  target.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { first, last } = drag;
    drag.isFar ||= Math.hypot(event.clientX - first.clientX, event.clientY - first.clientY) >= 6;
    drag.last = event;
    move(event.clientX - last.clientX, event.clientY - last.clientY, event);
  });
  for (const type of /** @type {("pointerup" | "pointercancel")[]} */ (["pointerup", "pointercancel"])) {
    target.addEventListener(type, (event) => {
      if (!drag) return;
      const isClick = type === "pointerup" && !drag.isFar;
      drag = null;
      if (isClick) click(event);
    });
  }
}

/** Copies a text, and confirms it on the clicked button. */
async function copyFrom(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Some browsers do not let pages from a disk copy.
    prompt("Copy this link", text);
    return;
  }
  button.textContent = "Copied";
  say("The link is copied");
  setTimeout(() => (button.textContent = "Copy link"), 1500);
}

const menuButton = document.querySelector(".menu-button");
const openMenu = (isOpen) => menuButton.setAttribute("aria-expanded", String(isOpen));
menuButton.addEventListener("click", () => openMenu(menuButton.getAttribute("aria-expanded") !== "true"));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") openMenu(false);
});

const show = (view, behavior) => document.getElementById(view)?.scrollIntoView({ behavior });

// A link to a view keeps its choices; following it in the browser would restore the defaults.
document.addEventListener("click", (event) => {
  // These open a new tab or window.
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a[href^="#"]') : null;
  const view = link && decodeURIComponent(link.hash.slice(1));
  if (link) openMenu(false);
  if (!view || view.startsWith("page.") || view.includes("?")) return;
  event.preventDefault();
  finish();
  fragment.change(view, {});
  show(view, calm.matches ? "auto" : "smooth");
  const target = document.getElementById(view);
  if (!target) return;
  target.tabIndex = -1;
  target.focus({ preventScroll: true });
});

// Wait until the parts have their final size.
addEventListener("load", () => {
  if (location.hash) finish();
  else setTimeout(proceed, 100);
  requestAnimationFrame(() => show(fragment.read().view, "auto"));
});
addEventListener("beforeprint", finish);
addEventListener("hashchange", () => {
  finish();
  show(fragment.read().view, "auto");
});

const bar = document.querySelector(".bar");
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
}).observe(bar);

Object.assign(window.pointillist, {
  calm, copyFrom, data, fileName, later, onDrag, onTheme, say, sections,
});
