import { useState } from "preact/hooks";
import { Refusal } from "../../api/client";
import { api } from "../../api/endpoints";
import { t } from "../../i18n";
import { emptyForm, isChanged, toJson, toRows, validate, type LinkForm } from "../../model/link-form";
import { complaints as read } from "../../model/refusal";
import { go, guardLeaving, linkHref } from "../../router";
import { toast } from "../../state/toasts";
import { PageHead } from "../../ui/blocks";
import { Button } from "../../ui/controls";
import { sayError } from "../../ui/say";
import { useComplaints } from "./complaints";
import { FormFields, focusFirst } from "./form";
import { TestConnection } from "./test";
import { useLeaving } from "./leaving";

export function LinkCreate() {
  const [form, setForm] = useState<LinkForm>(emptyForm);
  const { wrong, setWrong, onInput, changed: formChanged } = useComplaints();
  const [busy, setBusy] = useState(false);
  useLeaving(isChanged(form, emptyForm()));

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
      const link = await api.createLink(toJson(form));
      toast("good", t("toast.created"));
      guardLeaving(undefined);
      go(linkHref(link.name));
    } catch (error) {
      setBusy(false);
      if (!(error instanceof Refusal)) {
        toast("bad", sayError(error));
        return;
      }
      const said = toRows(read(error.code, error.message), form.topics);
      setWrong(said);
      focusFirst(said);
    }
  };

  return (
    <>
      <PageHead title={t("create.title")} lead={t("create.lead")} back={{ href: "/cluster-linking", text: t("menu.links") }} />
      <form class="link-form" onInput={onInput} onSubmit={(event) => void submit(event)} noValidate>
        <FormFields form={form} onChange={change} complaints={wrong} editing={false} />
        <TestConnection body={() => toJson(form)} ready={form.server.trim() !== ""} />
        <div class="form-end">
          <Button type="submit" kind="primary" busy={busy} writes>
            {t("create.submit")}
          </Button>
          <Button onClick={() => go("/cluster-linking")}>{t("cancel")}</Button>
        </div>
      </form>
    </>
  );
}
