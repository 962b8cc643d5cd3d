/* The explainer: its steps share a data set, a model and a time, and start when they come into view. */

const { Hero, NoiseStep, DenoiseStep, OnceStep, WriteStep, JudgeStep, KnobsStep, RowTable } = window.pointillist;
const { byId, element, later, models } = window.pointillist;

const root = document.getElementById("page.how");
const first = Object.keys(models.datasets)[0];
const state = { set: first, model: models.plain(first), share: 0.45 };
const part = (name) => root.querySelector(`[data-step="${name}"]`);
/** @type {{show: (shown: Shown) => void}[]} */
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

/** @returns {Shown} */
const current = () => ({
  set: state.set,
  model: state.model,
  dataset: models.datasets[state.set],
  t: state.share * state.model.timesteps,
});

const times = [...root.querySelectorAll("[name=t]")];
const schedules = root.querySelector("[name=schedule]");
const pickers = [...document.querySelectorAll("[data-sets]")];

function update() {
  const t = Math.round(state.share * state.model.timesteps);
  for (const time of times) {
    time.value = String(Math.round(1000 * state.share));
    time.closest("label").querySelector("output").textContent = `${t} of ${state.model.timesteps}`;
    time.setAttribute("aria-valuetext", `t = ${t} of ${state.model.timesteps}`);
  }
  for (const step of shown) step.show(current());
}

function chooseSet(set) {
  state.set = set;
  const all = models.of(set);
  const plain = all.filter((model) => !model.class_embedding);
  const offered = plain.length ? plain : all;
  schedules.replaceChildren(...offered.map(({ id, title }) => new Option(title, id)));
  state.model = models.plain(set);
  schedules.value = state.model.id;
  for (const button of pickers.flatMap((picker) => [...picker.querySelectorAll("button")]))
    button.setAttribute("aria-pressed", String(button.dataset.set === set));
  update();
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

for (const time of times) {
  time.addEventListener("input", () => {
    state.share = Number(time.value) / 1000;
    update();
  });
}
schedules.addEventListener("change", () => {
  state.model = models.get(schedules.value);
  update();
});
models.onAdded((model) => {
  fillPickers();
  chooseSet(model.dataset);
});

fillPickers();
chooseSet(first);
const hero = new Hero(document.querySelector(".hero-stage"), byId("page.rows"));
table.then((found) => hero.begin(found));
/** @type {Record<string, (root: HTMLElement) => {show: (shown: Shown) => void}>} */
const makers = {
  noise: (root) => new NoiseStep(root),
  denoise: (root) => new DenoiseStep(root),
  once: (root) => new OnceStep(root, table),
  write: (root) => new WriteStep(root, table),
  judge: (root) => new JudgeStep(root),
  knobs: (root) => new KnobsStep(root, chooseSet),
};
for (const [name, make] of Object.entries(makers)) later(() => whenNear(part(name), make));
Object.assign(window.pointillist, { explain: { chooseSet, hero, state, shown } });
