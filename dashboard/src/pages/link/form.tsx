/** The fields of U-3, in its order; the advanced ones are in their own file. */
import { useEffect, useState } from "preact/hooks";
import { t, type Key } from "../../i18n";
import { isAdvanced, type LinkForm } from "../../model/link-form";
import type { Complaint } from "../../model/refusal";
import { cluster } from "../../state/cluster";
import { mayWrite } from "../../state/session";
import { Button, Switch } from "../../ui/controls";
import { Field, Input, PemInput, Secret } from "../../ui/fields";
import { Icon } from "../../ui/icons";
import { say } from "../../ui/say";
import { Advanced } from "./advanced";

export interface FormProps {
  form: LinkForm;
  onChange: (form: LinkForm) => void;
  complaints: Complaint[];
  editing: boolean;
}

/** Moves to the first field with a complaint, after it has been drawn. */
export function focusFirst(complaints: Complaint[]): void {
  requestAnimationFrame(() =>
    setTimeout(() => {
      const field = complaints.find((complaint) => complaint.field !== "")?.field;
      const element = field ? document.querySelector<HTMLElement>(`[data-field="${CSS.escape(field)}"]`) : null;
      (element ?? document.querySelector<HTMLElement>(".form-complaints"))?.focus();
    }, 30),
  );
}

const SHOWN = new Set([
  "name",
  "server",
  "clientid",
  "username",
  "password",
  "ssl.verify",
  "ssl.server_name_indication",
  "ssl.certfile",
  "ssl.keyfile",
  "ssl.cacertfile",
]);

/** Complaints for which the form has no field stand above it: none is lost. */
function homeless(complaints: Complaint[], form: LinkForm): Complaint[] {
  return complaints.filter(({ field }) => {
    if (field.startsWith("ssl.") && !form.ssl.enable) return true;
    return !(SHOWN.has(field) || field === "topics" || /^topics\.\d+$/.test(field) || isAdvanced(field));
  });
}

export function FormFields({ form, onChange, complaints, editing }: FormProps) {
  const [open, setOpen] = useState(false);
  const set = (part: Partial<LinkForm>) => onChange({ ...form, ...part });
  const ssl = (part: Partial<LinkForm["ssl"]>) => set({ ssl: { ...form.ssl, ...part } });
  const locked = !mayWrite.value;
  const advancedWrong = complaints.some((complaint) => isAdvanced(complaint.field));
  useEffect(() => {
    if (advancedWrong) setOpen(true);
  }, [complaints, advancedWrong]);
  const lost = homeless(complaints, form);
  const text = (field: string, label: Key, value: string, write: (value: string) => void, more: { hint?: Key; required?: boolean; locked?: boolean; placeholder?: string } = {}) => (
    <Field field={field} label={label} complaints={complaints} locked={locked || more.locked === true} {...(more.hint ? { hint: more.hint } : {})} {...(more.required ? { required: true } : {})}>
      {(wiring) => <Input wiring={wiring} value={value} onInput={write} {...(more.placeholder ? { placeholder: more.placeholder } : {})} />}
    </Field>
  );
  const pem = (field: string, label: Key, value: string, write: (value: string) => void) => (
    <Field field={field} label={label} complaints={complaints} locked={locked}>
      {(wiring) => <PemInput wiring={wiring} value={value} onInput={write} />}
    </Field>
  );
  return (
    <>
      {lost.length > 0 ? (
        <div class="notice bad form-complaints" role="alert" tabIndex={-1}>
          <Icon name="warn" />
          <div class="notice-text">
            {lost.map((complaint) => (
              <p key={complaint.field + complaint.key + JSON.stringify(complaint.params)}>
                {complaint.field ? <code>{complaint.field}</code> : null} {say(complaint)}
              </p>
            ))}
          </div>
        </div>
      ) : null}
      <section class="card fields">
        {text("name", "form.name", form.name, (name) => set({ name }), {
          hint: editing ? "form.name.locked" : "form.name.hint",
          required: true,
          locked: editing,
        })}
        {text("server", "form.server", form.server, (server) => set({ server }), {
          hint: "form.server.hint",
          required: true,
          placeholder: "mqtt.eu.example:1883",
        })}
        {text("clientid", "form.clientid", form.clientid, (clientid) => set({ clientid }), {
          hint: "form.clientid.hint",
          placeholder: cluster.value?.name ?? "",
        })}
        {text("username", "form.username", form.username, (username) => set({ username }))}
        <Field field="password" label="form.password" complaints={complaints} locked={locked} {...(editing ? { hint: "form.password.keep" as const } : {})}>
          {(wiring) => <Secret wiring={wiring} value={form.password} onInput={(password) => set({ password })} />}
        </Field>
        <Topics form={form} set={set} complaints={complaints} locked={locked} />
      </section>
      <section class="card fields">
        <div class="field wide inline">
          <span id="tls-label" class="field-name">
            {t("form.tls")}
          </span>
          <Switch on={form.ssl.enable} label={t("form.tls")} writes onChange={(enable) => ssl({ enable })} />
          <p class="hint">{t("form.tls.hint")}</p>
        </div>
        {form.ssl.enable ? (
          <>
            <div class="field inline">
              <span class="field-name">{t("form.tls.verify")}</span>
              <Switch on={form.ssl.verify} label={t("form.tls.verify")} writes onChange={(verify) => ssl({ verify })} />
              {form.ssl.verify ? null : <p class="hint caution">{t("form.tls.verify.none")}</p>}
            </div>
            {text("ssl.server_name_indication", "form.sni", form.ssl.sni, (sni) => ssl({ sni }), { hint: "form.sni.hint" })}
            {pem("ssl.certfile", "form.certfile", form.ssl.certfile, (certfile) => ssl({ certfile }))}
            {pem("ssl.keyfile", "form.keyfile", form.ssl.keyfile, (keyfile) => ssl({ keyfile }))}
            {pem("ssl.cacertfile", "form.cacertfile", form.ssl.cacertfile, (cacertfile) => ssl({ cacertfile }))}
          </>
        ) : null}
      </section>
      <section class="card fold">
        <button type="button" class="fold-head" aria-expanded={open} aria-controls="advanced" onClick={() => setOpen(!open)}>
          <Icon name="chevron" size={16} /> {t("form.advanced")}
        </button>
        {open ? (
          <div id="advanced" class="fields">
            <Advanced form={form} set={set} complaints={complaints} locked={locked} />
          </div>
        ) : null}
      </section>
    </>
  );
}

export interface PartProps {
  form: LinkForm;
  set: (part: Partial<LinkForm>) => void;
  complaints: Complaint[];
  locked: boolean;
}

/** Rows with delete and plus; each row has its own complaint. */
function Topics({ form, set, complaints, locked }: PartProps) {
  const { topics } = form;
  const focusRow = (row: number) =>
    requestAnimationFrame(() => setTimeout(() => document.querySelector<HTMLElement>(`[data-field="topics.${row}"]`)?.focus(), 20));
  const add = () => {
    set({ topics: [...topics, ""] });
    focusRow(topics.length);
  };
  const whole = complaints.filter((complaint) => complaint.field === "topics");
  return (
    <fieldset class="field wide topics">
      <legend>{t("form.topics")}</legend>
      <p class="hint">{t("form.topics.hint")}</p>
      {whole.length > 0 ? (
        <p class="complaint" role="alert">
          {whole.map(say).join(" ")}
        </p>
      ) : null}
      {topics.map((topic, index) => {
        const mine = complaints.filter((complaint) => complaint.field === `topics.${index}`);
        return (
          <div class={`topic-row${mine.length > 0 ? " wrong" : ""}`} key={index}>
            <div class="joined">
              <Input
                wiring={{
                  id: `topic-${index}`,
                  "data-field": `topics.${index}`,
                  ...(mine.length > 0 ? { "aria-invalid": "true" as const, "aria-describedby": `topic-${index}-e` } : {}),
                  ...(locked ? { readOnly: true } : {}),
                }}
                label={t("form.topic.number", { number: index + 1 })}
                value={topic}
                placeholder="global/#"
                onInput={(value) => set({ topics: topics.map((old, at) => (at === index ? value : old)) })}
              />
              <Button
                icon="trash"
                writes
                label={t("form.topic.remove", { number: index + 1 })}
                onClick={() => set({ topics: topics.filter((_, at) => at !== index) })}
              />
            </div>
            {mine.length > 0 ? (
              <p class="complaint" id={`topic-${index}-e`} role="alert">
                {mine.map(say).join(" ")}
              </p>
            ) : null}
          </div>
        );
      })}
      <Button icon="plus" small writes onClick={add}>
        {t("form.topic.add")}
      </Button>
    </fieldset>
  );
}
