/** Where a message with this topic would go, and why not elsewhere. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../api/endpoints";
import type { Explain } from "../api/types";
import { t } from "../i18n";
import { tell } from "../i18n/reasons";
import { go, linkHref } from "../router";
import { Card, Empty, Failure, PageHead } from "../ui/blocks";
import { Button, Spinner, Tag } from "../ui/controls";
import { Field, Input } from "../ui/fields";

export function TopicTester({ topic }: { topic: string }) {
  const [text, setText] = useState(topic);
  const [answer, setAnswer] = useState<Explain | undefined>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [again, setAgain] = useState(0);
  useEffect(() => {
    if (topic === "") return undefined;
    const stop = new AbortController();
    setBusy(true);
    setError(undefined);
    api
      .explain(topic, { signal: stop.signal })
      .then(setAnswer, (failure: unknown) => {
        if (stop.signal.aborted) return;
        setAnswer(undefined);
        setError(failure);
      })
      .finally(() => {
        if (!stop.signal.aborted) setBusy(false);
      });
    return () => stop.abort();
  }, [topic, again]);
  const submit = (event: Event) => {
    event.preventDefault();
    const wanted = text.trim();
    if (wanted === "") return;
    if (wanted === topic) setAgain(again + 1);
    else go(`/topic-tester?topic=${encodeURIComponent(wanted)}`, "replace");
  };
  return (
    <>
      <PageHead title={t("menu.tester")} lead={t("tester.lead")} />
      <form class="card ask" onSubmit={submit}>
        <Field field="topic" label="tester.topic" hint="tester.topic.hint" complaints={[]}>
          {(wiring) => <Input wiring={wiring} value={text} onInput={setText} placeholder="global/orders/42" />}
        </Field>
        <Button type="submit" kind="primary" busy={busy}>
          {t("tester.run")}
        </Button>
      </form>
      <Failure error={error} retry={() => setAgain(again + 1)} />
      {busy && !answer ? <Spinner /> : null}
      {answer && topic ? <Answer answer={answer} /> : null}
    </>
  );
}

function Filters({ filters }: { filters: string[] | undefined }) {
  return (
    <span class="chips">
      {(filters ?? []).map((filter) => (
        <span class="chip" key={filter}>
          {filter}
        </span>
      ))}
    </span>
  );
}

function Answer({ answer }: { answer: Explain }) {
  const local = answer.local ?? [];
  const shared = answer.shared ?? [];
  const links = answer.links ?? [];
  const carrying = links.filter((link) => link.carries);
  const others = links.filter((link) => !link.carries);
  return (
    <div class="grid two">
      <Card title={t("tester.local")}>
        {local.length === 0 ? <Empty title={t("tester.local.none")} /> : null}
        <ul class="rows">
          {local.map((row) => (
            <li key={row.node} class={row.reason ? "partial" : ""}>
              <p>
                <strong>{row.node}</strong>{" "}
                <span class="soft">
                  {row.reason ? tell(row.reason).sentence : row.subscribers === undefined ? "" : t("tester.subscribers", { count: row.subscribers })}
                </span>
              </p>
              <Filters filters={row.filters} />
            </li>
          ))}
        </ul>
        {shared.length > 0 ? <h3>{t("tester.shared")}</h3> : null}
        <ul class="rows">
          {shared.map((row) => (
            <li key={row.group + row.filter}>
              <p>
                <code>
                  $share/{row.group}/{row.filter}
                </code>{" "}
                <span class="soft">{(row.nodes ?? []).join(", ")}</span>
              </p>
            </li>
          ))}
        </ul>
      </Card>
      <Card title={t("tester.links")}>
        {links.length === 0 ? <Empty title={t("tester.links.none")} /> : null}
        <ul class="rows">
          {[...carrying, ...others].map((row) => (
            <li key={row.link}>
              <p>
                <Tag tone={row.carries ? "good" : "off"}>{t(row.carries ? "tester.carries" : "tester.not")}</Tag>{" "}
                <a href={linkHref(row.link)}>{row.link}</a>
              </p>
              <Filters filters={row.filters} />
              {row.reason ? <p class="soft">{tell(row.reason).sentence}</p> : null}
            </li>
          ))}
        </ul>
      </Card>
    </div>
  );
}
