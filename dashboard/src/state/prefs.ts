/** Language and colours, kept in the browser; the first visit follows the browser's settings. */
import { effect, signal } from "@preact/signals";
import { LANGUAGES, lang, type Lang } from "../i18n";

export type Theme = "auto" | "light" | "dark";
const THEMES: readonly Theme[] = ["auto", "light", "dark"];

function load(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function save(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Not kept then.
  }
}

const pick = <T extends string>(all: readonly T[], value: string | null): T | undefined =>
  all.find((one) => one === value);

export const theme = signal<Theme>(pick(THEMES, load("spanmq.theme")) ?? "auto");

/** What is on the screen now: `auto` resolved. Charts redraw on it. */
export const dark = signal(false);

export function setLang(value: Lang): void {
  save("spanmq.lang", value);
  lang.value = value;
}

export function nextTheme(): void {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  save("spanmq.theme", next);
  theme.value = next;
}

export function applyPrefs(): void {
  lang.value = pick(LANGUAGES, load("spanmq.lang")) ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const systemDark = signal(system.matches);
  system.addEventListener("change", (event) => (systemDark.value = event.matches));
  effect(() => {
    document.documentElement.lang = lang.value === "zh" ? "zh-CN" : "en";
  });
  effect(() => {
    dark.value = theme.value === "dark" || (theme.value === "auto" && systemDark.value);
    document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
  });
}
