import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { en } from "../i18n/en";
import { fill } from "../i18n";
import { BECAUSE, REASONS, tellIn } from "../i18n/reasons";
import { zh } from "../i18n/zh";

const names = (text: string) => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? ""))];

test("both languages have the same keys, none empty", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  for (const text of [...Object.values(en), ...Object.values(zh)]) expect(text.trim()).not.toBe("");
});

test("both languages fill in the same parameters", () => {
  for (const [key, text] of Object.entries(en)) {
    const chinese = zh[key as keyof typeof zh];
    // English may use a number twice: once shown, once to choose between one and many.
    for (const name of names(chinese)) expect(text, key).toMatch(new RegExp(`\\{${name}[:}]`));
    for (const name of names(text)) expect(chinese, key).toContain(`{${name}}`);
  }
});

test("no text is left in the other language", () => {
  for (const [key, text] of Object.entries(en)) expect(/[\u4e00-\u9fff]/.test(text), key).toBe(false);
});

test("every text has a place where it is used", () => {
  const files = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      if (entry.isDirectory()) return entry.name === "tests" ? [] : files(join(folder, entry.name));
      return /^(en|zh)\.ts$/.test(entry.name) ? [] : [readFileSync(join(folder, entry.name), "utf8")];
    });
  const source = files("src").join("\n");
  // Machine words of the server, and keys that are put together.
  const made = /^(state|role|part|stage|stage\.state|theme|unit|dispatch|buffer|overflow|choice)\./;
  const unused = Object.keys(en).filter((key) => !made.test(key) && ![`"${key}"`, `"@${key}"`].some((text) => source.includes(text)));
  expect(unused).toEqual([]);
});

test("one and many differ in English", () => {
  expect(fill("{n} {n:link/links}", { n: 1 })).toBe("1 link");
  expect(fill("{n} {n:link/links}", { n: 12_000 })).toBe("12,000 links");
  expect(fill("{n:The node is/All {n} nodes are} up", { n: 3 })).toBe("All 3 nodes are up");
  expect(fill("{missing} stays", {})).toBe("{missing} stays");
});

test("the catalogue of reasons has both languages, with advice in both or in none", () => {
  for (const [code, entry] of Object.entries(REASONS)) {
    expect(entry.en[0], code).toBeTruthy();
    expect(entry.zh[0], code).toMatch(/[\u4e00-\u9fff]/);
    expect(Boolean(entry.en[1]), code).toBe(Boolean(entry.zh[1]));
  }
});

test("every reason word of the server is in the catalogue", () => {
  const rust = readFileSync("../linking/protocol/src/reason/catalogue.rs", "utf8");
  const words = [...rust.matchAll(/^\s+\w+ = "(\w+)", "/gm)].map((match) => match[1] ?? "");
  expect(words.length).toBeGreaterThan(40);
  expect(words.filter((word) => !(word in REASONS))).toEqual([]);
});

test("a reason keeps its detail and its lines to paste in Chinese", () => {
  const reason = {
    code: "unknown_cluster",
    message: "The remote has no link for the name of this cluster. (seen twice)",
    advice: 'Create a link named "us" at eu; for example with this body: {"name":"us"}',
  };
  const told = tellIn("zh", reason, { name: "eu", server: "h:1883" }, "us");
  expect(told.sentence).toMatch(/远程集群.*\(seen twice\)$/);
  expect(told.advice).toContain("us");
  expect(told.paste).toBe('{"name":"us"}');
  expect(tellIn("en", reason).sentence).toBe(reason.message);
  expect(tellIn("zh", { code: "brand_new", message: "Something new." }).sentence).toBe("Something new.");
});

test("every answer of the topic tester is translated", () => {
  const rust = readFileSync("../api/src/links/explain.rs", "utf8");
  const said = [...rust.matchAll(/^ +\(\)(?: if [^=]+)? => "([^"]+)",/gm)].map((match) => match[1] ?? "");
  expect(said.length).toBeGreaterThan(5);
  expect(Object.keys(BECAUSE).sort()).toEqual(said.sort());
});
