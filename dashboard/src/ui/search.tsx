/** Search boxes; those that ask the server wait until the typing pauses. */
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import { Button } from "./controls";
import { Icon } from "./icons";

export function Search({ value, onInput, label }: { value: string; onInput: (value: string) => void; label: string }) {
  return (
    <div class="search">
      <Icon name="tester" size={16} />
      <input
        class="input"
        type="search"
        value={value}
        placeholder={label}
        aria-label={label}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {value ? <Button small kind="quiet" icon="close" label={t("search.clear")} onClick={() => onInput("")} /> : null}
    </div>
  );
}

export function useSettled(value: string, ms = 300): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
