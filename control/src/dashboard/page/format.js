// Numbers as people read them, each with its unit. What is not known is a dash, never a zero.

const NONE = "–";
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function scaled(value, base, units) {
  let place = 0;
  while (Math.abs(value) >= base && place < units.length - 1) {
    value /= base;
    place += 1;
  }
  return `${Math.abs(value) >= 1000 ? whole.format(value) : number.format(value)} ${units[place]}`.trimEnd();
}

export const count = (value) => (value == null ? NONE : whole.format(value));

export const rate = (value, seconds) => (value == null ? NONE : `${scaled(value / seconds, 1000, ["", "k", "M", "G"])}/s`);

export const bytesRate = (value, seconds) => `${scaled(value / seconds, 1000, ["B", "kB", "MB", "GB", "TB"])}/s`;

export function duration(ms) {
  if (ms == null) return NONE;
  if (ms < 1000) return `${number.format(ms)} ms`;
  if (ms < 60_000) return `${number.format(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
  return `${Math.floor(ms / 86_400_000)} d ${Math.floor((ms % 86_400_000) / 3_600_000)} h`;
}

export const micros = (us) => (us == null ? NONE : duration(us / 1000));

export function share(part, all) {
  if (!all) return NONE;
  const percent = (100 * part) / all;
  return percent > 0 && percent < 0.01 ? "< 0.01 %" : `${number.format(percent)} %`;
}

export const ppm = (value) => (value == null ? NONE : `${number.format(value / 10_000)} %`);

export const burn = (milli) => (milli == null ? NONE : `${number.format(milli / 1000)}×`);

export const cores = (ns, seconds) => scaled(ns / seconds / 1e6, 1000, ["mCPU", "CPU"]);

const monies = new Map();
export function money(nano, currency) {
  if (nano == null) return NONE;
  if (!monies.has(currency)) {
    monies.set(currency, new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" }));
  }
  const value = nano / 1e9;
  if (value !== 0 && Math.abs(value) < 0.01) return `${currency} < 0.01`;
  return monies.get(currency).format(value);
}

export const clock = (ms) => (ms == null ? NONE : new Date(ms).toLocaleTimeString("en-GB"));

export const when = (ms) => (ms == null ? NONE : new Date(ms).toISOString().replace("T", " ").slice(0, 19));
