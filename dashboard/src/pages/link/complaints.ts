/** Complaints of a form; one goes away as soon as its field is edited. */
import { useState } from "preact/hooks";
import type { LinkForm } from "../../model/link-form";
import type { Complaint } from "../../model/refusal";

export interface Complaints {
  wrong: Complaint[];
  setWrong: (wrong: Complaint[]) => void;
  /** For the form element: input events of all fields arrive there. */
  onInput: (event: Event) => void;
  /** Passes a changed form on; rows of topics that moved lose their complaints. */
  changed: (before: LinkForm, after: LinkForm) => void;
}

export function useComplaints(): Complaints {
  const [wrong, setWrong] = useState<Complaint[]>([]);
  const forget = (isGone: (field: string) => boolean) => {
    if (wrong.some((one) => isGone(one.field))) setWrong(wrong.filter((one) => !isGone(one.field)));
  };
  return {
    wrong,
    setWrong,
    onInput: (event) => {
      const around = (event.target as Element | null)?.closest(".topic-row, .field");
      const field = around?.querySelector<HTMLElement>("[data-field]")?.dataset["field"];
      if (field) forget((one) => one === field);
    },
    changed: (before, after) => {
      if (before.topics.length > after.topics.length) forget((one) => one.startsWith("topics"));
    },
  };
}
