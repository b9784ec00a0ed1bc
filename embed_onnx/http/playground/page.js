/* The page: its views, the models that they offer, the key and the load. */

import { listModels } from "./api.js";
import * as choices from "./choices.js";
import * as compare from "./compare.js";
import * as copy from "./copy.js";
import { find } from "./dom.js";
import * as form from "./form.js";
import * as kept from "./kept.js";
import * as key from "./key.js";
import { watch } from "./load.js";
import { showModels } from "./models.js";
import * as rank from "./rank.js";
import * as search from "./search.js";
import * as terms from "./terms.js";
import * as texts from "./texts.js";
import * as versus from "./versus.js";

// What the form does, where so many models can do a task; and what shows the models. The address ends with the name of
// a view; no element has that as its id, or the browser would scroll to it.
const VIEWS = { search, compare, versus, rank, terms };
const NEEDS = {
  search: ["embed", 1],
  compare: ["embed", 1],
  versus: ["embed", 2],
  rank: ["rerank", 1],
  terms: ["embed_sparse", 1],
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

/** The views that the served models can fill; while these are not known, all that the form serves. */
function usable() {
  if (!models.length) return Object.keys(VIEWS);
  const able = ([task, count]) => choices.able(task).length >= count;
  return [...Object.keys(VIEWS).filter((name) => able(NEEDS[name])), MODELS];
}

/** The name of the view to show: that of the address, or the first. */
function currentView() {
  const name = location.hash.slice(1);
  return usable().includes(name) ? name : usable()[0];
}

function showView() {
  const current = currentView();
  for (const link of find("views").children) {
    const name = link.hash.slice(1);
    link.hidden = !usable().includes(name);
    if (name === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  find("work").hidden = current === MODELS;
  find("models-view").hidden = current !== MODELS;
  for (const name of Object.keys(VIEWS)) find(`${name}-view`).hidden = name !== current;
  if (current !== MODELS) form.serve(current, VIEWS[current]);
}

start();
