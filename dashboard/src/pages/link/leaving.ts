import { useEffect } from "preact/hooks";
import { t } from "../../i18n";
import { guardLeaving } from "../../router";

/** Asks before typed changes are lost, by a link of the menu or by closing the tab. */
export function useLeaving(changed: boolean): void {
  useEffect(() => {
    if (!changed) return undefined;
    guardLeaving(() => window.confirm(t("leave.question")));
    const closing = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", closing);
    return () => {
      guardLeaving(undefined);
      removeEventListener("beforeunload", closing);
    };
  }, [changed]);
}
