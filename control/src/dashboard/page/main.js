// Signs in, follows the overview, and says how old it is when the connection is lost.

import { clock } from "./format.js";
import { setText } from "./parts.js";
import { show } from "./overview.js";
import { follow } from "./stream.js";
import { Tenants } from "./tenants.js";

const $ = (id) => document.getElementById(id);
const TOKEN = "weir-token";
const THEME = "weir-theme";

let newest = null;
let paused = false;
let following = null;
let tenants = null;

// Storage may be refused; the page works all the same.
function kept(store, key) {
  try { return store().getItem(key) ?? ""; } catch { return ""; }
}
function keep(store, key, value) {
  try { if (value) store().setItem(key, value); else store().removeItem(key); } catch { /* Until the page is left. */ }
}

let token = kept(() => sessionStorage, TOKEN);

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

function status(text, tone) {
  // Said by screen readers, so only when it changes.
  setText($("status"), text);
  $("status").className = tone;
}

function shown() {
  if (!newest) return;
  show(newest, $("span").value);
  if (tenants) tenants.currency = newest.cost?.currency;
}

function signedOut(reason) {
  following?.abort();
  following = null;
  newest = null;
  token = "";
  keep(() => sessionStorage, TOKEN, "");
  $("board").hidden = true;
  $("sign-in").hidden = false;
  $("pause").hidden = $("sign-out").hidden = true;
  setText($("sign-in-error"), reason);
  status("Not signed in", "");
  $("token").focus();
}

// Frames come each second while proxies are there.
function state(overview) {
  const silent = overview.frame_ms == null ? null : overview.now_ms - overview.frame_ms;
  if (silent == null) return ["Live; no proxy has sent figures yet", "warn"];
  return silent > 10_000 ? [`Live; no proxy has sent figures since ${clock(overview.frame_ms)}`, "warn"] : ["Live", "good"];
}

function told(overview) {
  const first = newest == null;
  if (!paused) newest = overview;
  if (first) {
    newest = overview;
    $("sign-in").hidden = true;
    $("board").hidden = false;
    $("pause").hidden = $("sign-out").hidden = false;
    keep(() => sessionStorage, TOKEN, token);
  }
  document.body.classList.remove("stale");
  if (paused) return;
  status(...state(overview));
  if (!document.hidden) shown();
  if (first) tenants.restart();
}

function lost(reason) {
  if (newest) {
    document.body.classList.add("stale");
    status(`Connection lost: ${reason}. The figures are of ${clock(newest.now_ms)}; trying again`, "bad");
  } else {
    status(`No connection: ${reason}. Trying again`, "bad");
  }
}

async function start() {
  following?.abort();
  following = new AbortController();
  const own = following;
  status("Connecting …", "");
  try {
    await follow("/v1/overview/watch", token, own.signal, told, lost);
  } catch (error) {
    if (own === following) signedOut(error.message);
  }
}

function pressPause() {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (paused) status(`Paused at ${clock(newest?.now_ms)}`, "warn");
}

theme(kept(() => localStorage, THEME));
$("theme").value = document.documentElement.dataset.theme ?? "";
$("theme").addEventListener("change", (event) => { theme(event.target.value); keep(() => localStorage, THEME, event.target.value); });
$("span").addEventListener("change", () => { shown(); tenants.restart(); });
$("pause").addEventListener("click", pressPause);
$("sign-out").addEventListener("click", () => signedOut(""));
document.addEventListener("visibilitychange", () => { if (!document.hidden) shown(); });
$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  setText($("sign-in-error"), "");
  if (token) start();
});
tenants = new Tenants(() => (newest ? token : ""), () => $("span").value, () => paused, () => signedOut("The token is not valid any more."));

if (token) start();
else signedOut("");
