/** Texts in both languages. A key that is in one and not in the other does not compile. */
import { signal } from "@preact/signals";
import { en } from "./en";
import { zh } from "./zh";

export type Lang = "en" | "zh";
export const LANGUAGES: readonly Lang[] = ["en", "zh"];
export type Key = keyof typeof en;
export type Params = Record<string, string | number>;

export const lang = signal<Lang>("en");
const tables: Record<Lang, Record<Key, string>> = { en, zh };

const PLURAL = /\{(\w+):((?:[^{}/]|\{\w+\})*)\/((?:[^{}]|\{\w+\})*)\}/g;

/** `{name}` is the parameter, `{name:one/many}` chooses by whether it is 1. */
export function fill(text: string, params: Params = {}): string {
  const chosen = text.replace(PLURAL, (_, name: string, one: string, many: string) => (Number(params[name]) === 1 ? one : many));
  return chosen.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    if (value === undefined) return whole;
    return typeof value === "number" && value >= 10_000 ? value.toLocaleString("en-US") : String(value);
  });
}

export function t(key: Key, params?: Params): string {
  return fill(tables[lang.value][key], params);
}

export function isKey(text: string): text is Key {
  return Object.hasOwn(en, text);
}

/** The text for a machine word, or what the server says when the word is new to us. */
export function word(prefix: string, code: string, otherwise: string = code): string {
  const key = `${prefix}.${code}`;
  return isKey(key) ? t(key) : otherwise;
}
