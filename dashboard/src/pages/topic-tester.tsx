/** Where a message with this topic would go, and why not elsewhere. */
import { useEffect, useState } from "preact/hooks";
import { api } from "../api/endpoints";
import type { Explain, Route } from "../api/types";
import { t } from "../i18n";
import { because } from "../i18n/reasons";
import { go, linkHref } from "../router";
import { Card, Empty, Failure, PageHead } from "../ui/blocks";
import { Button, Spinner, Tag } from "../ui/controls";
import { Field, Input } from "../ui/fields";

/** Filters whose nodes and groups are looked up; the rest is shown by name. */
const LOOKED_UP_MAX = 20;

interface Found {
  explain: Explain;
  routes: (Route | undefined)[];
}

async function ask(topic: string, signal: AbortSignal): Promise<Found> {
  const explain = await api.explain(topic, { signal });
  const routes = await Promise.all(
    explain.local.slice(0, LOOKED_UP_MAX).map((filter) =>
      api.routes({ limit: 1, topic: filter }, { signal }).then(
        (page) => page.data[0],
        () => undefined,
      ),
    ),
  );
  return { explain, routes };
}

export function TopicTester({ topic }: { topic: string }) {
  const [text, setText] = useState(topic);
  const [answer, setAnswer] = useState<Found | undefined>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [again, setAgain] = useState(0);
  useEffect(() => {
    if (topic === "") return undefined;
    const stop = new AbortController();
    setBusy(true);
    setError(undefined);
    ask(topic, stop.signal)
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
      {answer && topic ? <Answer found={answer} /> : null}
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

function Answer({ found }: { found: Found }) {
  const { explain, routes } = found;
  const links = [...explain.links].sort((a, b) => Number(b.forwarded) - Number(a.forwarded));
  const groups = routes.flatMap((route) => (route?.groups ?? []).map((group) => ({ ...group, filter: route?.topic ?? "" })));
  return (
    <div class="grid two">
      <Card title={t("tester.local")}>
        {explain.local.length === 0 ? <Empty title={t("tester.local.none")} /> : null}
        <ul class="rows">
          {explain.local.map((filter, index) => (
            <li key={filter}>
              <span class="chip">{filter}</span> <span class="soft">{routes[index]?.nodes.join(", ")}</span>
            </li>
          ))}
        </ul>
        {groups.length > 0 ? <h3>{t("tester.shared")}</h3> : null}
        <ul class="rows">
          {groups.map((group) => (
            <li key={group.group + group.filter}>
              <span class="chip">
                $share/{group.group}/{group.filter}
              </span>{" "}
              <span class="soft">{group.nodes.map((one) => `${one.node} (${one.members})`).join(", ")}</span>
            </li>
          ))}
        </ul>
      </Card>
      <Card title={t("tester.links")}>
        {links.length === 0 ? <Empty title={t("tester.links.none")} /> : null}
        <ul class="rows">
          {links.map((row) => (
            <li key={row.name}>
              <p>
                <Tag tone={row.forwarded ? "good" : "off"}>{t(row.forwarded ? "tester.carries" : "tester.not")}</Tag>{" "}
                <a href={linkHref(row.name)}>{row.name}</a>
              </p>
              <p class="soft">{because(row.because)}</p>
              <Filters filters={row.matching} />
            </li>
          ))}
        </ul>
      </Card>
    </div>
  );
}
