/** Login. Over a page whose login ran out it keeps that page as it is. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Refusal, Unreachable } from "../api/client";
import { api } from "../api/endpoints";
import { t } from "../i18n";
import { expired, startSession } from "../state/session";
import { Button } from "../ui/controls";
import { Field, Input, Secret } from "../ui/fields";
import { Logo } from "../ui/icons";
import { sayError } from "../ui/say";
import { LangButton, ThemeButton } from "../app";

export function Login() {
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    document.title = `${t("login.title")} · SpanMQ`;
    form.current?.querySelector("input")?.focus();
  }, []);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    if (username === "" || password === "") {
      setWrong(t("login.empty"));
      return;
    }
    setBusy(true);
    setWrong("");
    try {
      const answer = await api.login(username, password);
      startSession({ username, token: answer.token, role: answer.role ?? "administrator" });
    } catch (error) {
      setWrong(whyNot(error));
      setBusy(false);
    }
  };

  return (
    <main class="login">
      <div class="login-tools">
        <LangButton />
        <ThemeButton />
      </div>
      <form class="login-card" ref={form} onSubmit={(event) => void submit(event)} noValidate>
        <div class="login-brand">
          <Logo />
          <h1>SpanMQ</h1>
        </div>
        <p class="lead">{t(expired.value ? "login.expired" : "login.lead")}</p>
        <Field field="username" label="form.username" complaints={[]}>
          {(wiring) => <Input wiring={wiring} value={username} onInput={setUsername} autocomplete="username" />}
        </Field>
        <Field field="password" label="form.password" complaints={[]}>
          {(wiring) => <Secret wiring={wiring} value={password} onInput={setPassword} autocomplete="current-password" />}
        </Field>
        {wrong ? (
          <p class="complaint" role="alert">
            {wrong}
          </p>
        ) : null}
        <Button type="submit" kind="primary" busy={busy}>
          {t("login.submit")}
        </Button>
      </form>
    </main>
  );
}

function whyNot(error: unknown): string {
  if (error instanceof Unreachable) return t("login.unreachable");
  if (error instanceof Refusal && error.status === 401) return t("login.wrong");
  if (error instanceof Refusal && error.status === 429) {
    return t("login.slow", { seconds: error.retryAfter ?? 60 });
  }
  return sayError(error);
}
