/** Buttons, switches, tags. A control that the role forbids stays focusable and says why. */
import { useState } from "preact/hooks";
import { t } from "../i18n";
import { mayWrite } from "../state/session";
import { toast } from "../state/toasts";
import type { Tone } from "../model/status";
import { Icon, type Children, type IconName } from "./icons";

interface ButtonProps {
  children?: Children;
  icon?: IconName;
  kind?: "primary" | "plain" | "quiet" | "danger";
  small?: boolean;
  type?: "button" | "submit";
  busy?: boolean;
  /** Changes something: needs the right to write. */
  writes?: boolean;
  label?: string;
  onClick?: () => void;
}

export function Button(props: ButtonProps) {
  const { children, icon, kind = "plain", small, type = "button", busy, writes, label, onClick } = props;
  const denied = writes === true && !mayWrite.value;
  const off = denied || busy === true;
  return (
    <button
      type={type}
      class={`button ${kind}${small ? " small" : ""}${children ? "" : " bare"}`}
      aria-disabled={off ? "true" : undefined}
      aria-describedby={denied ? "why-denied" : undefined}
      data-tip={denied ? t("denied") : undefined}
      aria-label={label}
      title={!denied && !children ? label : undefined}
      onClick={(event) => {
        if (off) {
          event.preventDefault();
          return;
        }
        onClick?.();
      }}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : icon ? <Icon name={icon} size={small ? 16 : 18} /> : null}
      {children}
    </button>
  );
}

interface SwitchProps {
  on: boolean;
  label: string;
  busy?: boolean;
  writes?: boolean;
  onChange: (on: boolean) => void;
}

export function Switch({ on, label, busy, writes, onChange }: SwitchProps) {
  const denied = writes === true && !mayWrite.value;
  const off = denied || busy === true;
  return (
    <button
      type="button"
      role="switch"
      class="switch"
      aria-checked={on}
      aria-label={label}
      aria-disabled={off ? "true" : undefined}
      aria-describedby={denied ? "why-denied" : undefined}
      data-tip={denied ? t("denied") : undefined}
      onClick={() => {
        if (!off) onChange(!on);
      }}
    >
      <span class="switch-knob" />
    </button>
  );
}

export function Tag({ tone, children, tip }: { tone: Tone; children: Children; tip?: string }) {
  return (
    <span class={`tag ${tone}`} title={tip}>
      <span class="tag-dot" aria-hidden="true" />
      {children}
    </span>
  );
}

export function CopyButton({ text, label, small = true }: { text: string; label?: string; small?: boolean }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await copyText(text);
      setDone(true);
      setTimeout(() => setDone(false), 2000);
    } catch {
      toast("bad", t("copy.failed"));
    }
  };
  return (
    <Button icon={done ? "check" : "copy"} small={small} kind="plain" onClick={() => void copy()}>
      {done ? t("copy.done") : (label ?? t("copy"))}
    </Button>
  );
}

/** Plain HTTP on another host than localhost has no clipboard API; the old way works there. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  // Inside an open dialog everything outside is inert and cannot be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy refused");
}

export function Spinner() {
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" /> {t("loading")}
    </div>
  );
}

export function Segmented<T extends string>(props: {
  label: string;
  value: T;
  options: readonly { value: T; text: string }[];
  onChange: (value: T) => void;
}) {
  return (
    <div class="segmented" role="group" aria-label={props.label}>
      {props.options.map((option) => (
        <button
          type="button"
          key={option.value}
          aria-pressed={option.value === props.value}
          onClick={() => props.onChange(option.value)}
        >
          {option.text}
        </button>
      ))}
    </div>
  );
}
