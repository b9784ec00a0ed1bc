/* The models that the form offers, and what each of them is. */

import { find, make, number, options } from "./dom.js";
import { isRestored, restore } from "./kept.js";

const DESCRIBED = ["model", "other", "reranker", "weigher", "matcher"]; // choices with a line of what the model is

let models = [];

/** Let the choice of a model show what it is. */
export function start() {
  for (const id of DESCRIBED) find(id).addEventListener("change", () => describe(id));
  find("model").addEventListener("change", offerOptions);
}

/** Offer the served models, each where it can do the task. */
export function fill(served) {
  models = served;
  const embedders = able("embed").map(({ id }) => id);
  offer("model", options(embedders));
  offer("other", options([...embedders.slice(1), ...embedders.slice(0, 1)]));
  offer("reranker", options(able("rerank").map(({ id }) => id)));
  offer("embedder", [...options(embedders), make("option", { value: "" }, "None")]);
  offer("weigher", options(able("embed_sparse").map(({ id }) => id)));
  offer("matcher", options(able("embed_tokens").map(({ id }) => id)));
  for (const id of DESCRIBED) describe(id);
  if (!card(find("model").value)) return;
  const same = isRestored("model");
  offerOptions();
  if (same) for (const id of ["prompt", "dimensions"]) restore(id);
}

/** Say of each choice that still waits for the models that they are not known. */
export function showUnknown() {
  for (const option of find("form").querySelectorAll("option:not([value])")) option.textContent = "not known";
}

/** What is known of a model; undefined where it is not served. */
export const card = (name) => models.find(({ id }) => id === name);

/** The models that can do a task. */
export const able = (task) => models.filter(({ tasks }) => tasks.includes(task));

/** The prompt that a model puts before texts in a role, "query" or "document"; "" for none. */
export function promptOf({ prompts, default_prompt: byDefault }, role) {
  const names = role === "query" ? ["query"] : ["document", "passage", "corpus"];
  const name = names.find((each) => each in prompts) ?? byDefault;
  return prompts[name] ?? "";
}

function offer(id, choices) {
  if (!choices.length) return;
  find(id).replaceChildren(...choices);
  find(id).disabled = false;
  restore(id);
}

/** What a model is, below its choice. */
function describe(id) {
  const model = card(find(id).value);
  if (!model) return;
  const { dimensions, entries, max_tokens: limit, precision, runs_on: engine, tasks } = model;
  const input = tasks.includes("rerank") && !tasks.includes("embed_tokens") ? "pair" : "text";
  const tokens = limit === null ? `any number of tokens a ${input}` : `${number(limit)} tokens a ${input}`;
  const width = entries === null ? `${dimensions} dimensions` : `${number(entries)} entries`;
  const length = dimensions === entries ? [] : [width]; // both are null of a model that scores
  const facts = [...length, tokens, `${precision} on ${engine}`].join(", ");
  find(`${id}-about`).textContent = find(`${id}-about`).title = facts;
}

/** The prompts and lengths that the model has. */
function offerOptions() {
  const { dimensions, prompts } = card(find("model").value);
  find("dimensions").max = dimensions;
  find("dimensions").value = dimensions;
  find("dimensions").required = true; // not before: while no models are known, the button loads them
  const stored = Object.entries(prompts).map(([name, text]) =>
    make("option", { value: `name:${name}` }, text ? `${name} “${text}”` : name),
  );
  const without = make("option", { value: "none" }, "None");
  const choices = [make("option", { value: "default" }, "Default"), without, ...stored];
  find("prompt").replaceChildren(...(stored.length ? choices : [make("option", { value: "default" }, "None stored")]));
  find("prompt").disabled = !stored.length;
}
