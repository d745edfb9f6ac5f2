/** The settings tab: the same form, the revision, and the counterpart for the other side. */
import { useState } from "preact/hooks";
import { Refusal } from "../../api/client";
import { api } from "../../api/endpoints";
import type { Link } from "../../api/types";
import { t } from "../../i18n";
import { counterpart } from "../../model/counterpart";
import { isChanged, toForm, toJson, toRows, validate, type LinkForm } from "../../model/link-form";
import { complaints as read } from "../../model/refusal";
import { cluster } from "../../state/cluster";
import { toast } from "../../state/toasts";
import { Card, Notice } from "../../ui/blocks";
import { Button, CopyButton } from "../../ui/controls";
import { sayError } from "../../ui/say";
import { useComplaints } from "./complaints";
import { FormFields, focusFirst } from "./form";
import { useLeaving } from "./leaving";
import { TestConnection } from "./test";

export function Settings({ link, onSaved }: { link: Link; onSaved: () => void }) {
  // What the form began with; polls bring newer links, but must not overwrite what is typed.
  const [base, setBase] = useState(link);
  const [form, setForm] = useState(() => toForm(link));
  const { wrong, setWrong, onInput, changed: formChanged } = useComplaints();
  const [busy, setBusy] = useState(false);
  const changed = isChanged(form, toForm(base));
  const older = base.revision !== undefined && link.revision !== undefined && link.revision !== base.revision;
  useLeaving(changed);
  if (older && !changed && !busy) {
    setBase(link);
    setForm(toForm(link));
  }

  const start = (from: Link) => {
    setBase(from);
    setForm(toForm(from));
    setWrong([]);
  };

  const change = (next: LinkForm) => {
    formChanged(form, next);
    setForm(next);
  };

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const found = validate(form);
    setWrong(found);
    if (found.length > 0) {
      focusFirst(found);
      return;
    }
    setBusy(true);
    try {
      const saved = await api.updateLink(link.name, toJson(form, base), base.revision);
      toast("good", t("toast.updated"));
      start(saved);
      onSaved();
    } catch (error) {
      if (error instanceof Refusal) {
        const said = toRows(read(error.code, error.message), form.topics);
        setWrong(said);
        focusFirst(said);
      } else toast("bad", sayError(error));
    }
    setBusy(false);
  };

  const json = JSON.stringify(counterpart(link, cluster.value?.name ?? ""), null, 2);
  return (
    <form class="link-form" onInput={onInput} onSubmit={(event) => void submit(event)} noValidate>
      {older && changed ? (
        <Notice tone="warn">
          <p>{t("settings.older")}</p>
          <Button small onClick={() => start(link)}>
            {t("settings.reload")}
          </Button>
        </Notice>
      ) : null}
      <FormFields form={form} onChange={change} complaints={wrong} editing />
      <div class="form-end">
        <Button type="submit" kind="primary" busy={busy} writes>
          {t("settings.submit")}
        </Button>
        {changed ? <Button onClick={() => start(link)}>{t("settings.undo")}</Button> : null}
        {link.revision === undefined ? null : <span class="soft">{t("settings.revision", { revision: link.revision })}</span>}
      </div>
      <TestConnection body={() => ({ ...toJson(form, base), name: link.name })} ready={form.server.trim() !== ""} />
      <Card title={t("counterpart.title")} actions={<CopyButton text={json} label={t("counterpart.copy")} />}>
        <p class="soft">{t("counterpart.hint", { name: link.name })}</p>
        <pre class="code" tabIndex={0}>
          {json}
        </pre>
      </Card>
    </form>
  );
}
