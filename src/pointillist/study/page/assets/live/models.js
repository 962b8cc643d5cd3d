/* The models and data sets of the page, including models trained in it, and their workers. */

const { Pool, unpackNumbers } = window.pointillist;

/** Large divergence of x_T from the prior, in nats per column. */
const LARGE_KL = 0.05;

/** Defines a property that is computed when it is first read, because a page shows few models at once. */
function lazily(object, name, make) {
  const keep = (value) => Object.defineProperty(object, name, { value, enumerable: true });
  Object.defineProperty(object, name, { get: () => keep(make())[name], enumerable: true, configurable: true });
}

/**
 * Adds the schedule to a model.
 * @param {StudyModelContent} content
 */
function prepared(content) {
  const model = /** @type {StudyModel} */ (content);
  const unpacked = (table) => (typeof table === "string" ? unpackNumbers(table, "float32") : table);
  lazily(model, "schedule", () => [model.alpha, model.sigma].map(unpacked));
  lazily(model, "timesteps", () => model.schedule[0].length - 1);
  return model;
}

class Models {
  /** @type {((model: StudyModel) => void)[]} */
  #listeners = [];

  /** @type {{model: StudyModel, dataset: StudyDataset} | undefined} a model in training */
  previewed;

  /** @param {{models: StudyModelContent[], datasets: Record<string, StudyDataset>}} content as the page holds it */
  constructor(content) {
    this.datasets = content.datasets;
    this.all = content.models.map(prepared);
    for (const dataset of Object.values(this.datasets))
      lazily(dataset, "real", () => unpackNumbers(dataset.rows, "float16"));
  }

  /** @param {string | null} id */
  find(id) {
    return [this.previewed?.model, ...this.all].find((model) => model?.id === id);
  }

  /** @param {string} id of one of the models */
  get(id) {
    const found = this.find(id);
    if (!found) throw new Error(`there is no model ${id}`);
    return found;
  }

  /** @param {StudyModel} model */
  datasetOf(model) {
    const { previewed } = this;
    return model === previewed?.model ? previewed.dataset : this.datasets[model.dataset];
  }

  of(set) {
    return this.all.filter((model) => model.dataset === set);
  }

  /** The best unconditional model of a set, if possible one whose x_T is nearly pure noise. */
  plain(set) {
    const plain = this.of(set).filter((model) => !model.class_embedding);
    return plain.find(({ prior_kl = 0 }) => prior_kl <= LARGE_KL) ?? plain[0] ?? this.of(set)[0];
  }

  /** The first conditional model of a set. */
  conditional(set) {
    return this.of(set).find((model) => model.class_embedding);
  }

  /**
   * Adds or replaces a model in training, which is not offered yet.
   * @param {StudyModelContent} content
   * @param {StudyDataset} dataset
   */
  preview(content, dataset) {
    const model = prepared(content);
    this.previewed = { model, dataset };
    pool.put(model);
    return model;
  }

  /**
   * Adds a model and its data set, or replaces a model of the same name.
   * @param {StudyModelContent} content
   * @param {StudyDataset} dataset
   */
  add(content, dataset) {
    const model = this.preview(content, dataset);
    this.datasets[model.dataset] = dataset;
    this.all = [...this.all.filter(({ id }) => id !== model.id), model];
    for (const listener of this.#listeners) listener(model);
  }

  /** @param {(model: StudyModel) => void} listener called when a model is added */
  onAdded(listener) {
    this.#listeners.push(listener);
  }
}

/**
 * Classes of rows in order: all classes in the data's proportions, or one class; null for no class.
 * @param {StudyDataset} dataset
 */
function labelsFor(dataset, rows, chosen) {
  if (chosen === "none") return null;
  if (chosen !== "all") return new Int32Array(rows).fill(Number(chosen));
  const sizes = dataset.class_sizes;
  const all = sizes.reduce((a, b) => a + b, 0);
  let [label, until] = [0, sizes[0]];
  return Int32Array.from({ length: rows }, (_, r) => {
    while (((r + 0.5) / rows) * all > until) until += sizes[++label];
    return label;
  });
}

const content = JSON.parse(document.getElementById("live-content").textContent);
const source = document.getElementById("worker-source").textContent;
const pool = new Pool(source, content.kernel, content.models);
Object.assign(window.pointillist, { pool, kernelText: content.kernel, models: new Models(content), labelsFor });
