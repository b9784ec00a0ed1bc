/* The page: its views, the models that they offer, the key and the load. */

import { Failure, listModels } from "./api.js";
import * as compare from "./compare.js";
import * as copy from "./copy.js";
import { find } from "./dom.js";
import * as key from "./key.js";
import { watch } from "./load.js";
import * as rank from "./rank.js";

// Each is a <main> with that id, and a module with the TASK that one of the models must do, `start` and `fill`.
const VIEWS = { compare, rank };

let models = [];
const fail = {}; // what shows a failure, by view

function start() {
  for (const [name, view] of Object.entries(VIEWS)) fail[name] = view.start(ready);
  key.start(watch);
  copy.start();
  find("change-key").addEventListener("click", () => {
    key.ask("Requests are sent with this key.", models.length ? null : loadModels);
  });
  window.addEventListener("hashchange", showView);
  loadModels();
  watch();
}

async function loadModels() {
  try {
    await fillModels();
    fail[currentView()](null);
  } catch (err) {
    fail[currentView()](err, loadModels);
  }
}

/** Wait until the models are known; they are requested again if that failed before. */
async function ready() {
  if (!models.length) await fillModels();
}

async function fillModels() {
  const served = await listModels();
  for (const view of Object.values(VIEWS)) {
    if (served.some(({ tasks }) => tasks.includes(view.TASK))) view.fill(served);
  }
  models = served;
  showView();
  if (!usable().length) throw new Failure("no model of this server embeds or ranks; the API docs list what it does");
}

/** The views that the served models can fill. */
const usable = () =>
  Object.keys(VIEWS).filter((name) => models.some(({ tasks }) => tasks.includes(VIEWS[name].TASK)));

/** The name of the view to show: that of the address, or the first. */
function currentView() {
  const name = location.hash.slice(1);
  return usable().includes(name) ? name : (usable()[0] ?? Object.keys(VIEWS)[0]);
}

function showView() {
  find("views").hidden = usable().length < 2;
  for (const name of Object.keys(VIEWS)) find(name).hidden = name !== currentView();
  for (const link of find("views").children) {
    if (link.hash.slice(1) === currentView()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

start();
