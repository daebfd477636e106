// Server-sent events by fetch, so that the token goes in a header and never into an address.

const SILENT_MS = 5_000;
const WAIT_MAX_MS = 15_000;
const EVENT_MAX = 1 << 20;

export class Refused extends Error {
  constructor(status, detail, retryMs) {
    super(detail);
    this.status = status;
    this.retryMs = retryMs;
  }
}

export async function ask(path, token, signal) {
  const response = await fetch(path, {
    headers: { authorization: `Bearer ${token}` },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal,
  });
  if (response.ok) return response;
  let detail = response.statusText;
  try {
    detail = (await response.json()).detail ?? detail;
  } catch {
    // Not a problem document.
  }
  throw new Refused(response.status, detail, 1000 * Number(response.headers.get("retry-after") ?? 0));
}

// Goes on until `signal` ends it or the token is refused. `told` gets each event's data, `lost` why there are none.
export async function follow(path, token, signal, told, lost) {
  for (let failed = 0; !signal.aborted; ) {
    try {
      await once(path, token, signal, (data) => {
        failed = 0;
        told(data);
      });
      lost("control ended the connection");
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401) throw error;
      lost(error instanceof Refused ? error.message : "control cannot be reached", error.retryMs);
      if (error.retryMs) await wait(error.retryMs, signal);
    }
    failed += 1;
    // Full jitter: many pages must not come back at once.
    await wait(Math.random() * Math.min(WAIT_MAX_MS, 500 * 2 ** failed), signal);
  }
}

function wait(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
  });
}

async function once(path, token, signal, told) {
  const silent = new AbortController();
  const response = await ask(path, token, AbortSignal.any([signal, silent.signal]));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const timer = setTimeout(() => silent.abort(), SILENT_MS);
    const { value, done } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    rest += value;
    if (rest.length > EVENT_MAX) throw new Error("an event without an end");
    for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) {
      const data = rest.slice(0, end).split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (data.length > 0) told(JSON.parse(data.join("\n")));
    }
  }
}
