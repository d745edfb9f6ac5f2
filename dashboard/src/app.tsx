/** The frame around all pages: menu, banner of a lost connection, login, toasts. */
import { useEffect, useState } from "preact/hooks";
import { api } from "./api/endpoints";
import { online, retryNow } from "./api/client";
import { lang, t, type Key } from "./i18n";
import { page } from "./router";
import { nextTheme, setLang, theme } from "./state/prefs";
import { endSession, expired, session } from "./state/session";
import { cluster, useCluster } from "./state/cluster";
import { dismiss, toasts } from "./state/toasts";
import { Button } from "./ui/controls";
import { Confirmation } from "./ui/dialog";
import { Icon, Logo, type IconName } from "./ui/icons";
import { Login } from "./pages/login";
import { Overview } from "./pages/overview";
import { LinkList } from "./pages/link-list";
import { LinkCreate } from "./pages/link/create";
import { LinkDetail } from "./pages/link/detail";
import { TopicTester } from "./pages/topic-tester";
import { Clients } from "./pages/clients";
import { Routes } from "./pages/routes";
import { Subscriptions } from "./pages/subscriptions";
import { Empty } from "./ui/blocks";

interface Item {
  href: string;
  text: Key;
  icon: IconName;
  pages: readonly string[];
}

const MENU: { title: Key; items: Item[] }[] = [
  { title: "menu.monitor", items: [{ href: "/", text: "menu.overview", icon: "overview", pages: ["overview"] }] },
  {
    title: "menu.management",
    items: [
      { href: "/cluster-linking", text: "menu.links", icon: "link", pages: ["links", "link", "link-create"] },
      { href: "/clients", text: "menu.clients", icon: "clients", pages: ["clients"] },
      { href: "/subscriptions", text: "menu.subscriptions", icon: "subscriptions", pages: ["subscriptions"] },
      { href: "/routes", text: "menu.routes", icon: "routes", pages: ["routes"] },
    ],
  },
  {
    title: "menu.diagnose",
    items: [{ href: "/topic-tester", text: "menu.tester", icon: "tester", pages: ["topic-tester"] }],
  },
];

function Current() {
  const here = page.value;
  switch (here.page) {
    case "overview":
      return <Overview />;
    case "links":
      return <LinkList />;
    case "link-create":
      return <LinkCreate />;
    case "link":
      return <LinkDetail key={here.name} name={here.name} tab={here.tab} />;
    case "topic-tester":
      return <TopicTester topic={here.topic} />;
    case "clients":
      return <Clients />;
    case "subscriptions":
      return <Subscriptions />;
    case "routes":
      return <Routes />;
    case "unknown":
      return (
        <Empty title={t("notfound")}>
          <a href="/">{t("notfound.back")}</a>
        </Empty>
      );
  }
}

export function App() {
  const somebody = session.value !== null;
  if (!somebody && !expired.value) {
    return (
      <>
        <Login />
        <Toasts />
      </>
    );
  }
  return (
    <>
      {/* What was typed stays behind the login form when the login has run out. */}
      <div class="frame" inert={!somebody}>
        <Frame />
      </div>
      {somebody ? null : (
        <div class="login-over">
          <Login />
        </div>
      )}
      <Confirmation />
      <Toasts />
      <span id="why-denied" hidden>
        {t("denied")}
      </span>
    </>
  );
}

function Frame() {
  const [open, setOpen] = useState(false);
  const here = page.value;
  useCluster();
  useEffect(() => setOpen(false), [here]);
  useEffect(() => {
    document.title = `${t(titleOf(here.page))}${here.page === "link" ? ` · ${here.name}` : ""} · SpanMQ`;
  }, [here, lang.value]);
  useEffect(() => {
    if (!open) return undefined;
    const close = (event: KeyboardEvent) => {
      if (event.key === "Escape") setOpen(false);
    };
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [open]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {t("skip")}
      </a>
      <header class="top">
        <button type="button" class="button quiet bare burger" aria-label={t("menu")} aria-expanded={open} aria-controls="menu" onClick={() => setOpen(!open)}>
          <Icon name={open ? "close" : "menu"} size={20} />
        </button>
        <a class="brand" href="/" aria-label="SpanMQ">
          <Logo />
          <span>SpanMQ</span>
        </a>
        {cluster.value ? (
          <span class="where" title={t("top.node", { node: cluster.value.self })}>
            {cluster.value.name}
          </span>
        ) : null}
        <div class="top-end">
          <LangButton />
          <ThemeButton />
          <User />
        </div>
      </header>
      <nav id="menu" class={open ? "menu open" : "menu"} aria-label={t("menu")}>
        {MENU.map((group) => (
          <div class="menu-group" key={group.title}>
            <h2>{t(group.title)}</h2>
            <ul>
              {group.items.map((item) => (
                <li key={item.href}>
                  <a href={item.href} aria-current={item.pages.includes(here.page) ? "page" : undefined}>
                    <Icon name={item.icon} />
                    {t(item.text)}
                  </a>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      {open ? <div class="veil" onClick={() => setOpen(false)} /> : null}
      <main id="main" tabIndex={-1}>
        {online.value ? null : (
          <div class="banner" role="alert">
            <Icon name="warn" />
            <span>{t("offline")}</span>
            <Button small onClick={retryNow}>
              {t("retry")}
            </Button>
          </div>
        )}
        <Current />
      </main>
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function titleOf(name: string): Key {
  const item = MENU.flatMap((group) => group.items).find((one) => one.pages.includes(name));
  return item?.text ?? "notfound";
}

export function LangButton() {
  const other = lang.value === "en" ? "zh" : "en";
  return (
    <button type="button" class="button quiet small lang" lang={other === "zh" ? "zh-CN" : "en"} onClick={() => setLang(other)}>
      {other === "zh" ? "中文" : "English"}
    </button>
  );
}

export function ThemeButton() {
  const now = theme.value;
  const icon = now === "auto" ? "auto" : now === "dark" ? "moon" : "sun";
  return <Button kind="quiet" small icon={icon} label={t("theme", { now: t(`theme.${now}`) })} onClick={nextTheme} />;
}

function User() {
  const who = session.value;
  if (!who) return null;
  const leave = () => {
    // The server forgets the token too; when it cannot be asked, the token runs out by itself.
    void api.logout(who.username).catch(() => undefined);
    endSession();
  };
  return (
    <span class="user">
      <span class="user-name" title={t("role", { role: who.role })}>
        {who.username}
        {who.role === "administrator" ? null : <span class="user-role">{who.role}</span>}
      </span>
      <Button kind="quiet" small icon="logout" label={t("logout")} onClick={leave} />
    </span>
  );
}

function Toasts() {
  return (
    <div class="toasts" aria-live="polite" role="status">
      {toasts.value.map((one) => (
        <div key={one.id} class={`toast ${one.kind}`}>
          <Icon name={one.kind === "good" ? "check" : "warn"} />
          <span>{one.text}</span>
          <Button kind="quiet" small icon="close" label={t("close")} onClick={() => dismiss(one.id)} />
        </div>
      ))}
    </div>
  );
}
