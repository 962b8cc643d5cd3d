/* The explainer: its steps share a data set, a model and a time, and start when they come into view. */

const { Hero, SpoilStep, GuessStep, OnceStep, WriteStep, JudgeStep, KnobsStep, RowTable } = window.pointillist;
const { byId, element, later, models } = window.pointillist;

const root = document.getElementById("page.how");
const first = Object.keys(models.datasets)[0];
const state = { set: first, model: models.plain(first) };
const part = (name) => root.querySelector(`[data-step="${name}"]`);
/** @typedef {{show: (shown: Omit<Shown, "t">) => void}} Step */
/** @type {Step[]} */
const shown = [];
const table = RowTable.read();

/** Makes a step when it comes near the viewport, and shows the state in it from then on. */
function whenNear(target, make) {
  const watch = new IntersectionObserver(
    ([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      watch.disconnect();
      const step = make(target);
      target.classList.add("drawn");
      shown.push(step);
      step.show(current());
    },
    { rootMargin: "300px" },
  );
  watch.observe(target);
}

const current = () => ({ ...state, dataset: models.datasets[state.set] });
const pickers = [...document.querySelectorAll("[data-sets]")];

function chooseSet(set) {
  state.set = set;
  state.model = models.plain(set);
  for (const button of pickers.flatMap((picker) => [...picker.querySelectorAll("button")]))
    button.setAttribute("aria-pressed", String(button.dataset.set === set));
  for (const step of shown) step.show(current());
}

function fillPickers() {
  for (const picker of pickers) {
    picker.replaceChildren(
      ...Object.keys(models.datasets).map((name) => {
        const button = element("button", { type: "button" }, name);
        button.dataset.set = name;
        button.addEventListener("click", () => chooseSet(name));
        return button;
      }),
    );
  }
}

models.onAdded((model) => {
  fillPickers();
  chooseSet(model.dataset);
});

fillPickers();
chooseSet(first);
const hero = new Hero(document.querySelector(".hero-stage"), byId("page.rows"));
table.then((found) => hero.begin(found));
/** @type {Record<string, (root: HTMLElement) => Step>} */
const makers = {
  spoil: (root) => new SpoilStep(root, table),
  guess: (root) => new GuessStep(root, table),
  once: (root) => new OnceStep(root, table),
  write: (root) => new WriteStep(root, table),
  judge: (root) => new JudgeStep(root),
  knobs: (root) => new KnobsStep(root, chooseSet),
};
for (const [name, make] of Object.entries(makers)) later(() => whenNear(part(name), make));
Object.assign(window.pointillist, { explain: { chooseSet, hero, state, shown } });
