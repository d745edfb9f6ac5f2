/** Advanced settings: those of U-4 in its order, then ours. */
import { t, word, type Key } from "../../i18n";
import type { Choice, Duration, LinkForm, Size } from "../../model/link-form";
import { DURATION_UNITS, SIZE_UNITS, type DurationUnit } from "../../model/units";
import { Field, Input, QuantityInput, Select, type Wiring } from "../../ui/fields";
import type { PartProps } from "./form";

const unitText = (unit: DurationUnit) => t(`unit.${unit}`);

export function Advanced({ form, set, complaints, locked }: PartProps) {
  const number = (field: string, label: Key, value: string, write: (value: string) => void, hint?: Key) => (
    <Field field={field} label={label} complaints={complaints} locked={locked} required {...(hint ? { hint } : {})}>
      {(wiring) => <Input wiring={wiring} value={value} mode="numeric" onInput={write} />}
    </Field>
  );
  const duration = (field: string, label: Key, value: Duration, write: (value: Duration) => void, hint?: Key) => (
    <Field field={field} label={label} complaints={complaints} locked={locked} required {...(hint ? { hint } : {})}>
      {(wiring) => <QuantityInput wiring={wiring} value={value} units={DURATION_UNITS} unitText={unitText} onInput={write} />}
    </Field>
  );
  const size = (field: string, label: Key, value: Size, write: (value: Size) => void, more: { hint?: Key; required?: boolean } = {}) => (
    <Field field={field} label={label} complaints={complaints} locked={locked} {...more}>
      {(wiring) => <QuantityInput wiring={wiring} value={value} units={SIZE_UNITS} onInput={write} />}
    </Field>
  );
  const choose = (field: string, label: Key, value: string, words: readonly string[], prefix: string, write: (value: string) => void, hint?: Key) => (
    <Field field={field} label={label} complaints={complaints} locked={locked} {...(hint ? { hint } : {})}>
      {(wiring) => <Select wiring={wiring} value={value} options={words.map((one) => ({ value: one, text: word(prefix, one) }))} onChange={write} />}
    </Field>
  );
  const tcp = (part: Partial<LinkForm["tcp"]>) => set({ tcp: { ...form.tcp, ...part } });
  const inbound = (part: Partial<LinkForm["inbound"]>) => set({ inbound: { ...form.inbound, ...part } });
  const flag = (field: string, label: Key, value: Choice, write: (value: Choice) => void) =>
    choose(field, label, value === "" ? "auto" : value, ["auto", "true", "false"], "choice", (one) =>
      write(one === "true" || one === "false" ? one : ""),
    );
  const plain = (field: string, label: Key, value: string, write: (value: string) => void, hint?: Key) => (
    <Field field={field} label={label} complaints={complaints} locked={locked} {...(hint ? { hint } : {})}>
      {(wiring) => <Input wiring={wiring} value={value} onInput={write} />}
    </Field>
  );
  return (
    <>
      {number("pool_size", "form.pool_size", form.poolSize, (poolSize) => set({ poolSize }), "form.pool_size.hint")}
      {duration("retry_interval", "form.retry_interval", form.retryInterval, (retryInterval) => set({ retryInterval }), "form.retry_interval.hint")}
      {number("max_inflight", "form.max_inflight", form.maxInflight, (maxInflight) => set({ maxInflight }), "form.max_inflight.hint")}
      {duration("resource_opts.start_timeout", "form.start_timeout", form.startTimeout, (startTimeout) => set({ startTimeout }), "form.start_timeout.hint")}
      {number("resource_opts.worker_pool_size", "form.worker_pool_size", form.bufferPoolSize, (bufferPoolSize) => set({ bufferPoolSize }), "form.worker_pool_size.hint")}
      <Field field="resource_opts.request_ttl" label="form.request_ttl" hint="form.request_ttl.hint" complaints={complaints} locked={locked}>
        {(wiring) => <Ttl wiring={wiring} value={form.requestTtl} onChange={(requestTtl) => set({ requestTtl })} />}
      </Field>
      {duration(
        "resource_opts.health_check_interval",
        "form.health_check_interval",
        form.healthCheckInterval,
        (healthCheckInterval) => set({ healthCheckInterval }),
        "form.health_check_interval.hint",
      )}
      {size("resource_opts.max_buffer_bytes", "form.max_buffer_bytes", form.maxBufferBytes, (maxBufferBytes) => set({ maxBufferBytes }), {
        hint: "form.max_buffer_bytes.hint",
        required: true,
      })}
      {number("resource_opts.inflight_window", "form.inflight_window", form.inflightWindow, (inflightWindow) => set({ inflightWindow }), "form.inflight_window.hint")}
      {choose(
        "resource_opts.dispatch_strategy",
        "form.dispatch_strategy",
        form.dispatchStrategy,
        ["per_clientid", "random"],
        "dispatch",
        (dispatchStrategy) => set({ dispatchStrategy }),
        "form.dispatch_strategy.hint",
      )}
      {choose("buffer.mode", "form.buffer_mode", form.bufferMode, ["disk", "memory"], "buffer", (bufferMode) => set({ bufferMode }), "form.buffer_mode.hint")}
      {choose("buffer.overflow", "form.overflow", form.overflow, ["drop_oldest", "drop_newest", "reject_qos1"], "overflow", (overflow) => set({ overflow }))}
      <h3 class="wide">{t("form.tcp")}</h3>
      {flag("tcp_opts.nodelay", "form.tcp.nodelay", form.tcp.nodelay, (nodelay) => tcp({ nodelay }))}
      {flag("tcp_opts.keepalive", "form.tcp.keepalive", form.tcp.keepalive, (keepalive) => tcp({ keepalive }))}
      {size("tcp_opts.sndbuf", "form.tcp.sndbuf", form.tcp.sndbuf, (sndbuf) => tcp({ sndbuf }))}
      {size("tcp_opts.recbuf", "form.tcp.recbuf", form.tcp.recbuf, (recbuf) => tcp({ recbuf }))}
      <h3 class="wide">{t("form.inbound")}</h3>
      <p class="hint wide">{t("form.inbound.hint")}</p>
      {plain("inbound.clientid_prefix", "form.inbound.prefix", form.inbound.clientidPrefix, (clientidPrefix) => inbound({ clientidPrefix }))}
      {plain("inbound.username", "form.inbound.username", form.inbound.username, (username) => inbound({ username }))}
      {plain("inbound.cert_cn", "form.inbound.cert_cn", form.inbound.certCn, (certCn) => inbound({ certCn }))}
    </>
  );
}

/** A duration, or for ever. */
function Ttl({ wiring, value, onChange }: { wiring: Wiring; value: Duration | null; onChange: (value: Duration | null) => void }) {
  const { id, ...rest } = wiring;
  return (
    <div class="ttl">
      <Select
        wiring={wiring}
        value={value ? "limited" : "infinity"}
        options={[
          { value: "infinity", text: t("ttl.infinity") },
          { value: "limited", text: t("ttl.limited") },
        ]}
        onChange={(kind) => onChange(kind === "infinity" ? null : { number: "45", unit: "s" })}
      />
      {value ? (
        <QuantityInput wiring={{ ...rest, id: `${id}v`, "data-field": "ttl" }} label={t("form.request_ttl")} value={value} units={DURATION_UNITS} unitText={unitText} onInput={onChange} />
      ) : null}
    </div>
  );
}
