/* The page: its views, the models that they offer, the key and the load. */

import { listModels } from "./api.js";
import * as choices from "./choices.js";
import * as compare from "./compare.js";
import * as copy from "./copy.js";
import { find, sentence } from "./dom.js";
import * as form from "./form.js";
import * as kept from "./kept.js";
import * as key from "./key.js";
import { watch } from "./load.js";
import * as matches from "./matches.js";
import { showModels } from "./models.js";
import * as rank from "./rank.js";
import * as search from "./search.js";
import * as terms from "./terms.js";
import * as texts from "./texts.js";
import * as versus from "./versus.js";

// What the form does, and how many models of which task that takes; and what shows the models. The address ends with
// the name of a view; no element has that as its id, or the browser would scroll to it.
const VIEWS = { search, compare, versus, rank, terms, matches };
const NEEDS = {
  search: ["embed", 1, "a model that embeds texts"],
  compare: ["embed", 1, "a model that embeds texts"],
  versus: ["embed", 2, "two models that embed texts"],
  rank: ["rerank", 1, "a reranker"],
  terms: ["embed_sparse", 1, "a sparse model"],
  matches: ["embed_tokens", 1, "a model of token vectors, such as ColBERT"],
};
const MODELS = "models";

let models = [];

function start() {
  kept.start();
  choices.start();
  form.start(ready);
  texts.start(form.fail);
  compare.start();
  search.start();
  key.start(watch);
  copy.start();
  find("change-key").addEventListener("click", () => {
    key.ask("Requests are sent with this key.", models.length ? null : loadModels);
  });
  window.addEventListener("hashchange", showView);
  showView();
  loadModels();
  watch();
}

async function loadModels() {
  try {
    await ready();
    form.fail(null);
  } catch (err) {
    form.fail(err, loadModels);
    find("models-note").textContent = sentence(err.message);
  }
}

/** Wait until the models are known; they are requested again if that failed before. */
async function ready() {
  if (models.length) return;
  models = await listModels();
  choices.fill(models);
  showModels(models);
  showView();
}

/** Whether the served models can fill a view; while these are not known, all views are taken to be of use. */
function isUsable(name) {
  if (!models.length || name === MODELS) return true;
  const [task, count] = NEEDS[name];
  return choices.able(task).length >= count;
}

/** The name of the view to show: that of the address, or the first that the served models can fill. */
function currentView() {
  const names = [...Object.keys(VIEWS), MODELS];
  const name = location.hash.slice(1);
  return names.includes(name) ? name : names.find(isUsable);
}

function showView() {
  const current = currentView();
  for (const link of find("views").children) {
    if (link.hash.slice(1) === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const works = current in VIEWS && isUsable(current);
  find("work").hidden = !works;
  find("models-view").hidden = current !== MODELS;
  find("lacking").hidden = works || current === MODELS;
  for (const name of Object.keys(VIEWS)) find(`${name}-view`).hidden = name !== current;
  if (works) form.serve(current, VIEWS[current]);
  else if (current !== MODELS) find("lacking-what").textContent = `This view needs ${lacking(current)}.`;
}

/** What a view takes that this server does not have. */
function lacking(name) {
  const [task, , words] = NEEDS[name];
  return `${words}; this server has ${choices.able(task).length ? "one" : "none"}`;
}

start();
