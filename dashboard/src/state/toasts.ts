import { signal } from "@preact/signals";

export interface Toast {
  id: number;
  kind: "good" | "bad";
  text: string;
}

export const toasts = signal<Toast[]>([]);
let last = 0;

/** Errors stay longer: somebody has to read them. */
export function toast(kind: Toast["kind"], text: string): void {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text }];
  setTimeout(() => dismiss(id), kind === "bad" ? 9000 : 4000);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}
