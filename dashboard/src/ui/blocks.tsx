/** The larger pieces that pages are made of. */
import { useId } from "preact/hooks";
import { Refusal, Unreachable } from "../api/client";
import { t } from "../i18n";
import { tell } from "../i18n/reasons";
import type { Link, Reason } from "../api/types";
import type { Tone } from "../model/status";
import { Button, CopyButton } from "./controls";
import { Icon, type Children } from "./icons";
import { sayError } from "./say";

export function PageHead(props: { title: string; lead?: string; back?: { href: string; text: string }; children?: Children }) {
  return (
    <header class="page-head">
      <div>
        {props.back ? (
          <a class="back" href={props.back.href}>
            <Icon name="back" size={14} /> {props.back.text}
          </a>
        ) : null}
        <h1 tabIndex={-1}>{props.title}</h1>
        {props.lead ? <p class="lead">{props.lead}</p> : null}
      </div>
      {props.children ? <div class="page-actions">{props.children}</div> : null}
    </header>
  );
}

export function Card(props: { title?: string; actions?: Children; children: Children; class?: string; note?: string }) {
  const id = useId();
  return (
    <section class={`card ${props.class ?? ""}`} aria-labelledby={props.title ? id : undefined}>
      {props.title ? (
        <header class="card-head">
          <h2 id={id}>{props.title}</h2>
          {props.note ? <span class="note">{props.note}</span> : null}
          {props.actions ? <div class="card-actions">{props.actions}</div> : null}
        </header>
      ) : null}
      {props.children}
    </section>
  );
}

export function Empty({ title, children }: { title: string; children?: Children }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** What was asked for could not be read. What was read before stays on the page beside it. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error === undefined || error === null) return null;
  // The banner at the top already says that nothing answers.
  if (error instanceof Unreachable && !error.slow) return null;
  const missing = error instanceof Refusal && error.status === 404;
  return (
    <div class={`notice ${missing ? "warn" : "bad"}`} role="alert">
      <Icon name="warn" />
      <div class="notice-text">{sayError(error)}</div>
      {retry ? (
        <Button small onClick={retry}>
          {t("retry")}
        </Button>
      ) : null}
    </div>
  );
}

export function Notice({ tone, children }: { tone: Tone; children: Children }) {
  return (
    <div class={`notice ${tone}`}>
      <Icon name={tone === "good" || tone === "busy" || tone === "off" ? "info" : "warn"} />
      <div class="notice-text">{children}</div>
    </div>
  );
}

/** A reason with what to do, and the lines to paste at the other side. */
export function ReasonNotice(props: { reason: Reason; tone: Tone; link?: Link; local?: string; who?: string }) {
  const told = tell(props.reason, props.link, props.local);
  return (
    <Notice tone={props.tone}>
      <p class="reason">
        {props.who ? <strong>{props.who}: </strong> : null}
        {told.sentence} <code class="reason-code">{props.reason.code}</code>
      </p>
      {told.advice ? <p class="advice">{told.advice}</p> : null}
      {told.paste ? (
        <div class="paste">
          <pre>{told.paste}</pre>
          <CopyButton text={told.paste} />
        </div>
      ) : null}
    </Notice>
  );
}

export function Facts({ items }: { items: readonly (readonly [string, Children])[] }) {
  return (
    <dl class="facts">
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function When({ at }: { at: string | undefined }) {
  if (!at) return <>–</>;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <>{at}</>;
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return (
    <time dateTime={at} title={at}>
      {day} {time}
    </time>
  );
}
