/** Form fields: label, required mark at the right, hint, complaints tied to the input. */
import { useId, useState } from "preact/hooks";
import { t, type Key } from "../i18n";
import { say } from "./say";
import type { Complaint } from "../model/refusal";
import type { Quantity } from "../model/units";
import { Button } from "./controls";
import type { Children } from "./icons";

export interface Wiring {
  id: string;
  "aria-describedby"?: string;
  "aria-invalid"?: "true";
  "aria-required"?: "true";
  readOnly?: boolean;
  "data-field": string;
}

interface FieldProps {
  field: string;
  label: Key;
  hint?: Key;
  required?: boolean;
  locked?: boolean;
  complaints: Complaint[];
  wide?: boolean;
  children: (wiring: Wiring) => Children;
}

export function Field({ field, label, hint, required, locked, complaints, wide, children }: FieldProps) {
  const id = useId();
  const mine = complaints.filter((complaint) => complaint.field === field);
  const about = [hint ? `${id}h` : "", mine.length > 0 ? `${id}e` : ""].filter(Boolean).join(" ");
  return (
    <div class={`field${wide ? " wide" : ""}${mine.length > 0 ? " wrong" : ""}`}>
      <label for={id}>
        {t(label)}
        {required ? (
          <span class="required" aria-hidden="true">
            *
          </span>
        ) : null}
      </label>
      {children({
        id,
        "data-field": field,
        ...(about ? { "aria-describedby": about } : {}),
        ...(mine.length > 0 ? { "aria-invalid": "true" as const } : {}),
        ...(required ? { "aria-required": "true" as const } : {}),
        ...(locked ? { readOnly: true } : {}),
      })}
      {mine.length > 0 ? (
        <p class="complaint" id={`${id}e`} role="alert">
          {mine.map(say).join(" ")}
        </p>
      ) : null}
      {hint ? (
        <p class="hint" id={`${id}h`}>
          {t(hint)}
        </p>
      ) : null}
    </div>
  );
}

interface InputProps {
  wiring: Wiring;
  value: string;
  onInput: (value: string) => void;
  placeholder?: string;
  type?: "text" | "password" | "search";
  mode?: "numeric" | "text";
  autocomplete?: string;
  /** For an input without a label element. */
  label?: string;
}

export function Input({ wiring, value, onInput, placeholder, type = "text", mode, autocomplete = "off", label }: InputProps) {
  return (
    <input
      {...wiring}
      class="input"
      aria-label={label}
      type={type}
      value={value}
      placeholder={placeholder}
      inputMode={mode}
      autocomplete={autocomplete}
      spellcheck={false}
      onInput={(event) => onInput(event.currentTarget.value)}
    />
  );
}

export function Secret({ wiring, value, onInput, autocomplete = "new-password" }: InputProps) {
  const [seen, setSeen] = useState(false);
  return (
    <div class="joined">
      <Input wiring={wiring} value={value} onInput={onInput} type={seen ? "text" : "password"} autocomplete={autocomplete} />
      <Button icon="eye" label={t(seen ? "password.hide" : "password.show")} onClick={() => setSeen(!seen)} />
    </div>
  );
}

export function Select<T extends string>(props: {
  wiring: Wiring;
  value: T;
  options: readonly { value: T; text: string }[];
  onChange: (value: T) => void;
}) {
  const { readOnly, ...wiring } = props.wiring;
  return (
    <select
      {...wiring}
      class="input"
      value={props.value}
      disabled={readOnly}
      onChange={(event) => props.onChange(event.currentTarget.value as T)}
    >
      {props.options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.text}
        </option>
      ))}
    </select>
  );
}

/** A number and its unit. */
export function QuantityInput<U extends string>(props: {
  wiring: Wiring;
  value: Quantity<U>;
  units: readonly U[];
  unitText?: (unit: U) => string;
  label?: string;
  onInput: (value: Quantity<U>) => void;
}) {
  const { value, units, onInput, wiring } = props;
  return (
    <div class="joined quantity">
      <Input wiring={wiring} {...(props.label ? { label: props.label } : {})} value={value.number} mode="numeric" onInput={(number) => onInput({ ...value, number })} />
      <select
        class="input unit"
        aria-label={t("unit")}
        value={value.unit}
        disabled={wiring.readOnly}
        onChange={(event) => onInput({ ...value, unit: event.currentTarget.value as U })}
      >
        {units.map((unit) => (
          <option key={unit} value={unit}>
            {props.unitText?.(unit) ?? unit}
          </option>
        ))}
      </select>
    </div>
  );
}

/** PEM text, typed or from a file; the server keeps it and answers with a path. */
export function PemInput({ wiring, value, onInput }: InputProps) {
  const id = `${wiring.id}f`;
  const read = async (files: FileList | null) => {
    const file = files?.[0];
    if (file && file.size < 200_000) onInput(await file.text());
  };
  return (
    <div class="pem">
      <textarea
        {...wiring}
        class="input mono"
        rows={3}
        value={value}
        spellcheck={false}
        placeholder="-----BEGIN …"
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {wiring.readOnly ? null : (
        <label class="button plain small" for={id}>
          {t("form.file")}
          <input
            id={id}
            class="sr-only"
            type="file"
            accept=".pem,.crt,.cer,.key"
            onChange={(event) => void read(event.currentTarget.files)}
          />
        </label>
      )}
    </div>
  );
}
