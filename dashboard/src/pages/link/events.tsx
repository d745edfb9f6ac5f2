/** The last state changes, newest first. */
import { useState } from "preact/hooks";
import { api } from "../../api/endpoints";
import type { LinkEvent, Reason } from "../../api/types";
import { t, word } from "../../i18n";
import { tell } from "../../i18n/reasons";
import { toneOf } from "../../model/status";
import { cluster } from "../../state/cluster";
import { usePoll } from "../../state/poll";
import { Card, Empty, Failure, When } from "../../ui/blocks";
import { Button } from "../../ui/controls";

const FIRST = 8;

function reasonOf(event: LinkEvent): Reason | undefined {
  return event.reason ? { code: event.reason, message: event.message ?? "" } : undefined;
}

export function Events({ name }: { name: string }) {
  const polled = usePoll((signal) => api.linkEvents(name, { signal }), 5000, ["events", name], ["links"]);
  const [all, setAll] = useState(false);
  const events = [...(polled.value ?? [])].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  const many = (cluster.value?.nodes.length ?? 1) > 1;
  const shown = all ? events : events.slice(0, FIRST);
  return (
    <Card title={t("events.title")}>
      <Failure error={polled.error} retry={polled.refresh} />
      {polled.value && events.length === 0 ? <Empty title={t("events.none")} /> : null}
      <ol class="events">
        {shown.map((event, index) => {
          // A state that is well keeps the reason of the one before; it explains nothing then.
          const reason = ["bad", "warn"].includes(toneOf(event.state)) ? reasonOf(event) : undefined;
          return (
            <li key={`${event.at}${event.who}${index}`} class={toneOf(event.state)}>
              <p>
                <strong>{word("state", event.state)}</strong> <span class="soft">{word("part", event.part)} · {event.who}{many && event.node ? ` · ${event.node}` : ""}</span>
              </p>
              {reason ? <p>{tell(reason).sentence}</p> : null}
              <p class="soft">
                <When at={event.at} />
              </p>
            </li>
          );
        })}
      </ol>
      {events.length > FIRST ? (
        <Button small onClick={() => setAll(!all)}>
          {all ? t("events.fewer") : t("events.all", { count: events.length })}
        </Button>
      ) : null}
    </Card>
  );
}
