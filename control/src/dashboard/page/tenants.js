// The table of tenants: sorted, searched and paged by control; this asks again every few seconds.

import * as f from "./format.js";
import { setText, table } from "./parts.js";
import { ask } from "./stream.js";

const $ = (id) => document.getElementById(id);
const EVERY_MS = 2_000;
const TYPING_MS = 250;

export class Tenants {
  // `token` gives the token, `span` the span, `paused` whether nothing is to change.
  constructor(token, span, paused, refused) {
    Object.assign(this, { token, span, paused, refused, before: [], after: "", next: null, asked: 0 });
    $("search").addEventListener("submit", (event) => { event.preventDefault(); this.restart(); });
    $("q").addEventListener("input", () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.restart(), TYPING_MS); });
    $("sort").addEventListener("change", () => this.restart());
    $("next").addEventListener("click", () => this.turn(() => { this.before.push(this.after); this.after = this.next; }, this.next != null));
    $("previous").addEventListener("click", () => this.turn(() => { this.after = this.before.pop(); }, this.before.length > 0));
    this.timer = setInterval(() => { if (!this.paused() && !document.hidden) this.load(false); }, EVERY_MS);
  }

  restart() {
    [this.before, this.after] = [[], ""];
    this.load(true);
  }

  turn(change, possible) {
    if (!possible) return;
    change();
    this.load(true);
  }

  // `said`: somebody asked for it, and is told how many there are.
  async load(said) {
    const token = this.token();
    if (!token || (!said && this.busy)) return;
    const asked = (this.asked += 1);
    const query = new URLSearchParams({ sort: $("sort").value, span: this.span(), q: $("q").value.trim() });
    if (this.after) query.set("after", this.after);
    this.busy = true;
    try {
      const page = await (await ask(`/v1/overview/tenants?${query}`, token)).json();
      // An answer to an older question is of no use any more.
      if (asked === this.asked) this.show(page);
    } catch (error) {
      if (asked !== this.asked) return;
      if (error.status === 401) this.refused();
      else setText($("tenants-found"), error.status ? `Tenants cannot be shown: ${error.message}` : "Tenants cannot be shown: control cannot be reached.");
    } finally {
      if (asked === this.asked) this.busy = false;
    }
  }

  show(page) {
    this.next = page.next;
    // Not `disabled`: that would take the focus from who presses them.
    $("next").setAttribute("aria-disabled", String(page.next == null));
    $("previous").setAttribute("aria-disabled", String(this.before.length === 0));
    setText($("tenants-found"), `${f.count(page.found)} of ${f.count(page.total)} tenants; page ${this.before.length + 1}`);
    const s = page.seconds;
    const rows = page.items.map((item) => [
      item.tenant || "(no tenant)", item.slo?.tier ?? "–", f.rate(item.requests, s),
      { text: f.share(item.errors, item.requests), tone: item.requests > 0 && item.errors / item.requests > 0.01 ? "bad" : "" },
      { text: f.share(item.refused, item.requests), title: item.refusals.map(([code, count]) => `${code} ${count}`).join(", ") },
      f.micros(item.latency?.p99_us), f.cores(item.cpu_ns, s), f.share(item.waf_ns, item.cpu_ns),
      { text: item.slo ? f.ppm(Math.min(item.slo.availability.left_ppm, item.slo.latency.left_ppm)) : "–", tone: item.slo && Math.min(item.slo.availability.left_ppm, item.slo.latency.left_ppm) <= 0 ? "bad" : "" },
      item.slo ? f.burn(Math.max(item.slo.availability.burn_1h_milli, item.slo.latency.burn_1h_milli)) : "–",
      this.money(item.cost?.today_nano), this.money(item.cost?.budget_today_nano),
    ]);
    const number = (title) => ({ title, number: true });
    table($("tenants"), "Tenants", [{ title: "Tenant" }, { title: "Tier" }, number("Requests"), number("Errors"), number("Refused"), number("99th percentile"), number("CPU"), number("of it WAF"), number("Budget left"), number("burn 1 h"), number("Cost today"), number("Budget today")], rows, "No tenant fits.");
  }

  money(nano) {
    return nano == null || !this.currency ? "–" : f.money(nano, this.currency);
  }
}
