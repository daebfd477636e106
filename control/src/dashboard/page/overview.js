// Shows an overview.

import * as f from "./format.js";
import { lines, node, setText, table, tile } from "./parts.js";

const $ = (id) => document.getElementById(id);
const SECOND = (value) => `${f.count(value)}/s`;

const column = (title) => ({ title });
const figure = (title) => ({ title, number: true });

// A place within a section that keeps its table when other lines come and go.
function within(place, name) {
  place.places ??= new Map();
  if (!place.places.has(name)) place.places.set(name, place.appendChild(node("div")));
  return place.places.get(name);
}

export function show(overview, span) {
  traffic(overview, span);
  refusals(overview, span);
  regions(overview);
  slo(overview);
  cost(overview);
  proxies(overview);
  rollout(overview);
  talkers(overview);
  events(overview);
  $("scope-note").hidden = overview.hidden.length === 0;
  const since = `Frames are counted since ${f.when(overview.since_ms)} UTC`;
  const folded = overview.bounds.folded > 0 ? `; ${f.count(overview.bounds.folded)} entries of tenants over the bound are counted as *` : "";
  setText($("footer"), `${since}${folded}.`);
}

function traffic(overview, span) {
  const place = $("traffic");
  const now = overview.traffic[span];
  const s = now.seconds;
  const curve = (key, scale = 1) => {
    const seconds = overview.traffic.seconds;
    return seconds && { values: seconds.map((second) => second[key] / scale), unit: SECOND };
  };
  const bad = now.requests > 0 && now.errors / now.requests > 0.01;
  tile(place, "Requests", f.rate(now.requests, s), `${f.count(now.requests)} in ${s} s`, "", curve("requests"));
  tile(place, "Errors", f.share(now.errors, now.requests), `${f.rate(now.errors, s)} failed`, bad ? "bad" : "", curve("errors"));
  tile(place, "Refused", f.share(now.refused, now.requests), `WAF ${f.rate(now.blocked, s)}, limits ${f.rate(now.limited, s)}`, "", curve("refused"));
  const latency = now.latency;
  tile(place, "Latency, 99th percentile", f.micros(latency?.p99_us), `50th ${f.micros(latency?.p50_us)}, 90th ${f.micros(latency?.p90_us)}`);
  const cpu = overview.traffic.seconds && { values: overview.traffic.seconds.map((second) => second.cpu_ns / 1e6), unit: (value) => f.cores(value * 1e6, 1) };
  tile(place, "CPU", f.cores(now.cpu_ns, s), `WAF ${f.cores(now.waf_ns, s)} (${f.share(now.waf_ns, now.cpu_ns)})`, "", cpu);
  tile(place, "Bytes to clients", f.bytesRate(now.bytes_out, s), `from clients ${f.bytesRate(now.bytes_in, s)}`);
}

function refusals(overview, span) {
  const seconds = overview.traffic[span].seconds;
  const rows = overview.refusals.filter((refusal) => refusal[span] > 0)
    .map((refusal) => [{ text: refusal.code, title: refusal.title }, refusal.status, f.count(refusal[span]), f.rate(refusal[span], seconds)]);
  table(within($("refusals"), "table"), "Refused requests by code", [column("Code"), figure("Status"), figure("Requests"), figure("Rate")], rows, "Nothing was refused.");
}

function regions(overview) {
  const seconds = overview.traffic.minute.seconds;
  const rows = overview.regions.map((region) => [
    region.region,
    { text: `${region.connected} of ${region.proxies}`, tone: region.connected < region.proxies ? "bad" : "" },
    { text: region.stale, tone: region.stale > 0 ? "warn" : "" },
    f.rate(region.requests, seconds), f.share(region.errors, region.requests), f.cores(region.cpu_ns, seconds),
  ]);
  table(within($("regions"), "table"), "Regions, last minute", [column("Region"), figure("Connected"), figure("Behind"), figure("Requests"), figure("Errors"), figure("CPU")], rows, "No region was seen yet.");
}

const left = (level) => ({ text: f.ppm(level?.left_ppm), tone: level && level.left_ppm <= 0 ? "bad" : level && level.left_ppm < 250_000 ? "warn" : "" });
const burning = (level) => ({ text: f.burn(level?.burn_1h_milli), tone: level && level.burn_1h_milli >= 14_400 ? "bad" : level && level.burn_1h_milli > 1000 ? "warn" : "" });

function slo({ slo }) {
  const place = $("slo");
  const tiers = (slo?.tiers ?? []).map((tier) => [
    tier.name, f.count(tier.tenants), left(tier.availability), burning(tier.availability), left(tier.latency), burning(tier.latency),
    { text: f.count(tier.spent), tone: tier.spent > 0 ? "bad" : "" }, { text: `${f.count(tier.pages)} / ${f.count(tier.tickets)}`, tone: tier.pages > 0 ? "bad" : "" },
  ]);
  const worst = (slo?.worst ?? []).map((level) => [
    level.tenant, level.tier, left(level.availability), burning(level.availability), left(level.latency), burning(level.latency),
    { text: level.alert ?? "none", tone: level.alert === "page" ? "bad" : level.alert ? "warn" : "" },
  ]);
  const columns = [column("Tier"), figure("Tenants"), figure("Availability left"), figure("burn 1 h"), figure("Latency left"), figure("burn 1 h"), figure("Spent"), figure("Pages / tickets")];
  table(within(place, "tiers"), "Budgets of 30 days by tier", columns, tiers, "Error budgets are not computed on this control.");
  const place_worst = within(place, "worst");
  place_worst.hidden = worst.length === 0;
  table(place_worst, "Tenants that need a look first", [column("Tenant"), column("Tier"), figure("Availability left"), figure("burn 1 h"), figure("Latency left"), figure("burn 1 h"), column("Alert")], worst, "No tenant has a budget.");
}

function cost({ cost }) {
  const place = $("cost");
  const m = (nano) => f.money(nano, cost.currency);
  const over = cost != null && cost.budget_today_nano != null && cost.budgeted_today_nano > cost.budget_today_nano;
  lines(within(place, "sums"), cost == null ? ["Costs are not computed on this control."] : [
    { text: `Today ${m(cost.today_nano)}, of ${f.count(cost.tenants)} tenants`, tone: "strong" },
    cost.budget_today_nano == null ? "No tenant has a budget."
      : { text: `${f.count(cost.budgeted)} tenants with a budget: ${m(cost.budgeted_today_nano)} of ${m(cost.budget_today_nano)} for today (${f.share(cost.budgeted_today_nano, cost.budget_today_nano)})`, tone: over ? "bad" : "" },
    `This month ${m(cost.month_nano)}${cost.forecast_month_nano == null ? "" : `, forecast ${m(cost.forecast_month_nano)}`}${cost.budget_month_nano == null ? "" : `; budgets ${m(cost.budget_month_nano)}`}`,
  ]);
  const rows = (cost?.over ?? []).map((own) => [own.tenant, m(own.today_nano), m(own.budget_today_nano), f.share(own.today_nano, own.budget_today_nano), m(own.forecast_month_nano)]);
  const table_place = within(place, "over");
  table_place.hidden = cost == null;
  table(table_place, `Over today's part of the budget: ${f.count(cost?.over_total)}, the furthest first`, [column("Tenant"), figure("Today"), figure("Budget today"), figure("Used"), figure("Forecast")], rows, "No tenant is over today's part of its budget.");
}

function proxies({ proxies, now_ms }) {
  const place = $("proxies");
  lines(within(place, "sums"), [
    { text: `${f.count(proxies.connected)} of ${f.count(proxies.total)} connected, ${f.count(proxies.stale)} behind; newest revision ${proxies.newest_revision ?? "none"}`, tone: proxies.connected < proxies.total ? "bad strong" : "strong" },
  ]);
  const rows = proxies.listed.map((proxy) => [
    proxy.node, proxy.region,
    { text: `${proxy.connected ? "connected" : "away"} for ${f.duration(Math.max(0, now_ms - proxy.since_ms))}`, tone: proxy.connected ? "" : "bad" },
    proxy.revision,
    { text: proxy.stale_ms > 0 ? `${f.duration(proxy.stale_ms)} behind ${proxy.target ?? "–"}` : "up to date", tone: proxy.stale_ms > 0 ? "warn" : "" },
    { text: proxy.refused == null ? "none" : `revision ${proxy.refused}`, tone: proxy.refused == null ? "" : "bad" },
  ]);
  const none = proxies.total > 0 ? "Which they are is shown to tokens of all tenants." : "No proxy has connected since control started.";
  table(within(place, "table"), "Those that need a look first", [column("Proxy"), column("Region"), column("Session"), figure("Revision"), column("Staleness"), column("Refused")], rows, none);
}

function rollout({ rollout, hidden }) {
  const place = $("rollout");
  const words = { running: "is on its way", done: "is everywhere", halted: "was halted", rolled_back: "was rolled back", superseded: "was superseded" };
  const said = rollout == null
    ? [hidden.includes("rollout") ? "Rollouts are shown to tokens of all tenants and regions." : "Nothing was rolled out yet."]
    : [
      { text: `Revision ${rollout.revision} ${words[rollout.state]}${rollout.emergency ? " (emergency)" : ""}`, tone: rollout.state === "rolled_back" ? "bad strong" : rollout.state === "running" ? "warn strong" : "strong" },
      rollout.state === "running" ? `Stage ${rollout.stage + 1} of ${rollout.stages_total}, sent ${f.clock(rollout.since_ms)}, ${rollout.served_ms ? `served since ${f.clock(rollout.served_ms)}, watched for ${f.duration(rollout.bake_ms)}` : "not served by all yet"}` : null,
      rollout.reason ? `Because of gate ${Object.entries(rollout.reason).map(([key, value]) => `${key} ${value}`).join(", ")}` : null,
      `Taken back, it would be revision ${rollout.base}.`,
    ];
  lines(within(place, "words"), [0, 1, 2, 3].map((at) => said[at] ?? null));
  const rows = (rollout?.stages ?? []).map((stage, at) => [
    at + 1, stage.regions.join(", ") + (stage.regions_total > stage.regions.length ? ` and ${stage.regions_total - stage.regions.length} more` : ""),
    `${f.count(stage.serving)} of ${f.count(stage.connected)}`, { text: f.count(stage.refused), tone: stage.refused > 0 ? "bad" : "" },
  ]);
  const table_place = within(place, "stages");
  table_place.hidden = rows.length === 0;
  table(table_place, "Stages", [column("Stage"), column("Regions"), figure("Serving"), figure("Refused")], rows, "");
}

function talkers({ talkers }) {
  const place = $("talkers");
  const figures = (talker) => [f.rate(talker.requests, talkers.seconds), f.share(talker.errors, talker.requests), f.cores(talker.cpu_ns, talkers.seconds)];
  const columns = [figure("Requests"), figure("Errors"), figure("CPU")];
  table(within(place, "tenants"), "Tenants, last minute", [column("Tenant"), ...columns], talkers.tenants.map((talker) => [talker.tenant || "(no tenant)", ...figures(talker)]), "No requests in the last minute.");
  table(within(place, "routes"), "Routes, last minute", [column("Route"), column("Tenant"), ...columns],
    talkers.routes.map((talker) => [talker.route || "(no route)", talker.tenant || "(no tenant)", ...figures(talker)]), "No requests in the last minute.");
  lines(within(place, "note"), [{ text: "Rules and countries are not counted here: the proxies' frames do not carry them. They are in each proxy's access log and audit log.", tone: "note" }]);
}

function events({ events, hidden }) {
  const rows = events.map((event) => [event.action, event.subject || "–", event.actor, { text: event.result, tone: ["done", ""].includes(event.result) ? "" : "warn" }, f.when(event.time_ms)]);
  const none = hidden.includes("events") ? "Events are shown to tokens of all tenants and regions." : "Nothing has happened yet.";
  table(within($("events"), "table"), "Latest events, newest first", [column("What"), column("To what"), column("Who"), column("Result"), column("When, UTC")], rows, none);
}
