/** Durations and sizes as the configuration writes them (LINK-SPEC 1.1), and as people read them. */

export const DURATION_UNITS = ["ms", "s", "m", "h", "d"] as const;
export type DurationUnit = (typeof DURATION_UNITS)[number];
const MS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  f: 1_209_600_000,
};

export const SIZE_UNITS = ["MB", "GB", "KB", "B"] as const;
export type SizeUnit = (typeof SIZE_UNITS)[number];
const BYTES: Record<SizeUnit, number> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 };

/** Milliseconds of `1m30s`, `1.5s`, `15000` or a number; nothing for anything else. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (typeof value !== "string") return undefined;
  const text = value.trim().toLowerCase();
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^(\d+(\.\d+)?(ms|[smhdwf]))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwf])/g)) {
    sum += Number(number) * (MS[unit ?? ""] ?? 0);
  }
  return Math.round(sum);
}

export interface Quantity<U extends string> {
  number: string;
  unit: U;
}

/** The largest unit that writes it without a fraction: 90000 → 90 s, 120000 → 2 m. */
export function splitDuration(value: unknown): Quantity<DurationUnit> | undefined {
  const ms = parseDuration(value);
  if (ms === undefined) return undefined;
  if (ms === 0) return { number: "0", unit: "s" };
  const unit = [...DURATION_UNITS].reverse().find((u) => ms % (MS[u] ?? 1) === 0) ?? "ms";
  return { number: String(ms / (MS[unit] ?? 1)), unit };
}

export function parseSize(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== "string") return undefined;
  const match = /^(\d+)(B|KB|MB|GB|b|kb|mb|gb)?$/.exec(value.trim());
  if (!match) return undefined;
  const unit = (match[2]?.toUpperCase() ?? "B") as SizeUnit;
  return Number(match[1]) * BYTES[unit];
}

export function splitSize(value: unknown): Quantity<SizeUnit> | undefined {
  const bytes = parseSize(value);
  if (bytes === undefined) return undefined;
  if (bytes === 0) return { number: "0", unit: "MB" };
  const unit = (["GB", "MB", "KB", "B"] as const).find((u) => bytes % BYTES[u] === 0) ?? "B";
  return { number: String(bytes / BYTES[unit]), unit };
}

export function joinQuantity(quantity: Quantity<string>): string {
  return quantity.number.trim() + quantity.unit;
}

/** 1536 → `1.5 KB`. */
export function showBytes(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** 93784000 → `1d 2h`: the two largest parts. */
export function showDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const parts: string[] = [];
  let rest = Math.floor(ms / 1000);
  for (const [unit, seconds] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]] as const) {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    if (count > 0) parts.push(`${count}${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0s";
}

/** Microseconds as people compare latencies: `850 µs`, `3.4 ms`, `1.20 s`. */
export function showMicros(us: number): string {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1_000_000) return `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
  return `${(us / 1_000_000).toFixed(2)} s`;
}

/** Exact to 9,999, then three digits: `12.3k`, `4.56M`. The exact number goes into the tooltip. */
export function showCount(value: number): string {
  if (value < 10_000) return value.toLocaleString("en-US");
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]] as const) {
    if (value >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(value);
}

export function showRate(value: number): string {
  if (value === 0) return "0";
  if (value < 10) return value.toFixed(2);
  if (value < 100) return value.toFixed(1);
  return showCount(Math.round(value));
}
