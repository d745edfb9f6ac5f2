/** What can be done to a link from the list and from its page; questions and toasts of U-2. */
import { api } from "../../api/endpoints";
import type { Link } from "../../api/types";
import { t } from "../../i18n";
import { withEnable } from "../../model/link-form";
import { toast } from "../../state/toasts";
import { confirm } from "../../ui/dialog";
import { sayError } from "../../ui/say";

async function attempt(action: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await action();
    toast("good", done);
    return true;
  } catch (error) {
    toast("bad", sayError(error));
    return false;
  }
}

/** Disabling asks; enabling does not. */
export async function switchLink(link: Link, on: boolean): Promise<boolean> {
  if (!on && !(await confirm(t("disable.title"), t("disable.text", { name: link.name }), t("disable")))) return false;
  // The list may be some seconds old: what is written back is what is stored now.
  return attempt(async () => {
    const now = await api.link(link.name);
    await api.updateLink(link.name, withEnable(now, on), now.revision);
  }, t(on ? "toast.enabled" : "toast.disabled"));
}

export async function removeLink(name: string): Promise<boolean> {
  if (!(await confirm(t("delete.title"), t("delete.text", { name }), t("delete"), true))) return false;
  return attempt(() => api.deleteLink(name), t("toast.deleted"));
}

export function pauseLink(name: string, paused: boolean): Promise<boolean> {
  return attempt(() => api.pauseLink(name, paused), t(paused ? "toast.paused" : "toast.resumed"));
}

export async function resetStatistics(name: string): Promise<boolean> {
  if (!(await confirm(t("reset.title"), t("reset.text", { name }), t("reset")))) return false;
  return attempt(() => api.resetLinkMetrics(name), t("toast.reset"));
}
