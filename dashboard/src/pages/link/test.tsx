/** Test connection: every stage with its tick and milliseconds; nothing is stored. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Refusal } from "../../api/client";
import { api } from "../../api/endpoints";
import type { TestReport } from "../../api/types";
import { t, word } from "../../i18n";
import { complaints } from "../../model/refusal";
import { reasonOf, stages } from "../../model/test-report";
import { REASONS } from "../../i18n/reasons";
import { Card, Facts, Failure, ReasonNotice } from "../../ui/blocks";
import { Button } from "../../ui/controls";
import { Icon } from "../../ui/icons";
import { say } from "../../ui/say";

interface Props {
  body: () => unknown;
  /** There is enough to try. */
  ready: boolean;
}

export function TestConnection({ body, ready }: Props) {
  const [report, setReport] = useState<TestReport | undefined>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const stop = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => stop.current?.abort(), []);
  const run = async () => {
    stop.current?.abort();
    const mine = (stop.current = new AbortController());
    setBusy(true);
    setError(undefined);
    setReport(undefined);
    try {
      setReport(await api.testLink(body(), { signal: mine.signal }));
    } catch (failure) {
      if (!mine.signal.aborted) setError(failure);
    }
    setBusy(false);
  };
  const refused = error instanceof Refusal && error.status === 400 ? complaints(error.code, error.message) : [];
  const good = report?.ok;
  const reason = report ? reasonOf(report, REASONS[report.reason ?? ""]?.en[0]) : undefined;
  return (
    <Card
      title={t("test.title")}
      actions={
        <Button small icon="play" busy={busy} writes onClick={() => (ready ? void run() : setError(new Refusal(400, "", t("test.needs_server"))))}>
          {t("test.run")}
        </Button>
      }
    >
      {!report && !error && !busy ? <p class="soft">{t("test.hint")}</p> : null}
      {refused.length > 0 ? (
        <div class="notice bad" role="alert">
          <Icon name="warn" />
          <div class="notice-text">
            {refused.map((one, index) => (
              <p key={index}>
                {one.field ? <code>{one.field}</code> : null} {say(one)}
              </p>
            ))}
          </div>
        </div>
      ) : (
        <Failure error={error} />
      )}
      {report || busy ? (
        <ol class="stages" aria-live="polite">
          {stages(report).map((stage) => (
            <li key={stage.step} class={busy ? "waiting" : stage.state}>
              <span class="stage-mark" aria-hidden="true">
                {busy ? <span class="spinner" /> : stage.state === "done" ? <Icon name="check" size={16} /> : stage.state === "failed" ? <Icon name="close" size={16} /> : null}
              </span>
              <span>{word("stage", stage.step)}</span>
              <span class="sr-only">{busy ? t("loading") : word("stage.state", stage.state)}</span>
              <span class="stage-ms">{stage.ms === undefined ? "" : `${Math.round(stage.ms)} ms`}</span>
            </li>
          ))}
        </ol>
      ) : null}
      {report && good !== undefined ? <p class={good ? "verdict good" : "verdict bad"}>{t(good ? "test.good" : "test.bad")}</p> : null}
      {reason ? <ReasonNotice reason={reason} tone={good ? "warn" : "bad"} /> : null}
      {(report?.warnings ?? []).map((warning) => (
        <ReasonNotice key={warning.code} reason={warning} tone="warn" />
      ))}
      {report?.connack ? (
        <details>
          <summary>{t("test.limits")}</summary>
          <Facts items={Object.entries(report.connack).filter(([, value]) => value !== null).map(([name, value]) => [name.replaceAll("_", " "), String(value)])} />
        </details>
      ) : null}
    </Card>
  );
}
