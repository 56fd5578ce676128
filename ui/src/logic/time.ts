// Times as people read them: the browser's own zone, with UTC at hand.

export function localTime(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return text;
  const date = time.toLocaleDateString(undefined, { day: "2-digit", month: "short" });
  return `${date} ${time.toLocaleTimeString(undefined, { hour12: false })}`;
}

/** `17:47:03`, where the day stands elsewhere. */
export function clockTime(text: string): string {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toLocaleTimeString(undefined, { hour12: false });
}

/** `2026-11-21 17:47:03 UTC`. */
export function utcTime(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return text;
  return `${time.toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
}

const STEPS: [seconds: number, unit: string][] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** `3 min`, `12 d`: the largest unit that fits, which is what a table has room for. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const step = STEPS.find(([size]) => whole >= size) ?? [1, "s"];
  return `${Math.floor(whole / step[0])} ${step[1]}`;
}

export function ago(text: string, now: number): string {
  const seconds = (now - new Date(text).getTime()) / 1000;
  if (Number.isNaN(seconds)) return text;
  if (Math.abs(seconds) < 5) return "just now";
  return seconds < 0 ? `in ${duration(-seconds)}` : `${duration(seconds)} ago`;
}

export function milliseconds(value: number): string {
  return value < 1000 ? `${Math.round(value)} ms` : duration(value / 1000);
}

export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** `1,284`, `12.9 k`, `3.4 M`. */
export function count(value: number): string {
  if (value < 10_000) return value.toLocaleString("en");
  if (value < 1_000_000) return `${(value / 1000).toFixed(1)} k`;
  return `${(value / 1_000_000).toFixed(1)} M`;
}
