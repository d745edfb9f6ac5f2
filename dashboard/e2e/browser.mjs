// A browser that fails the run for console errors, requests to other origins and axe violations.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const faults = [];

/** What was asked of the servers, for whoever reads a failed run. */
export const trace = [];

export async function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/** @param {{lang?: "en"|"zh", theme?: "light"|"dark", width?: number, height?: number}} look */
export async function openPage(browser, base, { lang = "en", theme = "light", width = 1280, height = 900 } = {}) {
  const context = await browser.newContext({ viewport: { width, height } });
  await context.addInitScript(([l, t]) => {
    localStorage.setItem("spanmq.lang", l);
    localStorage.setItem("spanmq.theme", t);
  }, [lang, theme]);
  const page = await context.newPage();
  const own = new URL(base).origin;
  const note = (mark) => (request) => {
    const url = new URL(request.url());
    if (url.pathname.startsWith("/api/")) trace.push(`${new Date().toISOString().slice(17, 23)} ${mark(request)} ${request.method()} ${url.pathname}`);
  };
  page.on("request", note(() => "asks "));
  page.on("requestfinished", note(() => "done "));
  page.on("requestfailed", note((request) => request.failure()?.errorText ?? "failed"));
  page.on("pageerror", (error) => faults.push(`page error: ${error}`));
  // Refusals that are part of the flow: the browser prints one line for each.
  const expected = [];
  page.expectRefusal = (path, status) => expected.push({ path, status: String(status) });
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const [text, { url }] = [message.text(), message.location()];
    const known = expected.some(({ path, status }) => text.includes(status) && url.includes(path));
    if (!known) faults.push(`console: ${text} (${url})`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!/^(data|blob):$/.test(url.protocol) && url.origin !== own) faults.push(`request to another origin: ${url}`);
  });
  return page;
}

export async function checkAxe(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of violations) {
    faults.push(`axe ${where}: ${violation.id} at ${violation.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`);
  }
}

export async function checkWidth(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (over > 0) faults.push(`${where}: ${over} px wider than the screen`);
}

export async function shot(page, folder, name, fullPage = true) {
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage, animations: "disabled" });
}

export async function logIn(page, base, username, password, path = "/") {
  await page.goto(base + path);
  await page.locator("input[autocomplete=username]").fill(username);
  await page.locator("input[autocomplete=current-password]").fill(password);
  await page.keyboard.press("Enter");
  await page.locator(".frame h1").waitFor();
}
