// Starts two real clusters (`east` of three nodes, `west` of one) on free loopback ports, runs the
// flow against them and ends them, whatever happened.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = fileURLToPath(new URL(".", import.meta.url));
const binary = process.env.SPANMQ_BIN ?? resolve(here, "../../target/debug/spanmq");
const { values } = parseArgs({ options: { screenshots: { type: "string", default: "" } } });
const folder = mkdtempSync(join(tmpdir(), "spanmq-e2e-"));
const password = `E2e-${crypto.randomUUID()}`;
const children = [];
const rules = '{allow, {clientid, {re, "^clink-"}}, all, ["$LINK/#"]}.\n{allow, all, all, ["#"]}.\n';
const config = `authorization { sources = [{type = file, path = "acl.conf"}], no_match = deny }
dashboard { default_username = "admin", default_password = "${password}" }
`;

async function node(cluster, number, entry) {
  const name = `n${number}@127.0.0.1`;
  const data = join(folder, `${cluster}-n${number}`);
  const log = `${data}.log`;
  const output = openSync(log, "w");
  const any = "127.0.0.1:0";
  const child = spawn(
    binary,
    ["start", "--dev", "--exit-with-stdin", "--node-name", name, "--cluster-name", cluster, "--data-dir", data]
      .concat(["--listen-mqtt", any, "--listen-api", any, "--listen-cluster", any])
      .concat(["--config", join(folder, "spanmq.conf")], entry),
    { stdio: ["pipe", output, output] },
  );
  children.push(child);
  let ended;
  child.on("error", (error) => (ended = error));
  child.on("exit", (code, signal) => (ended ??= code ?? signal));
  for (const limit = Date.now() + 60_000; Date.now() < limit && ended === undefined; ) {
    try {
      const addresses = JSON.parse(readFileSync(join(data, "addresses.json"), "utf8"));
      if ((await fetch(`http://${addresses.api}/api/v5/readyz`)).ok) return { child, ...addresses };
    } catch {
      // Not written, or not listening, yet.
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${name} of ${cluster} does not serve (${ended ?? "still running"}):\n${readFileSync(log, "utf8").slice(-4000)}`);
}

async function main() {
  writeFileSync(join(folder, "acl.conf"), rules);
  writeFileSync(join(folder, "spanmq.conf"), config);
  const east = await node("east", 1, ["--init"]);
  await node("east", 2, ["--join", east.cluster]);
  const victim = await node("east", 3, ["--join", east.cluster]);
  const west = await node("west", 1, ["--init"]);
  const flow = spawn(process.execPath, [join(here, "run.mjs")], {
    stdio: "inherit",
    env: {
      ...process.env,
      E2E_A_URL: `http://${east.api}`,
      E2E_B_URL: `http://${west.api}`,
      E2E_A_MQTT: east.mqtt["tcp:default"],
      E2E_B_MQTT: west.mqtt["tcp:default"],
      E2E_USER: "admin",
      E2E_PASSWORD: password,
      E2E_KILL_CMD: `kill -9 ${victim.child.pid}`,
      E2E_SHOTS: values.screenshots && resolve(values.screenshots),
    },
  });
  children.push(flow);
  const [code] = await once(flow, "exit");
  if (code !== 0) {
    for (const log of readdirSync(folder).filter((name) => name.endsWith(".log"))) {
      console.error(`${log}:\n${readFileSync(join(folder, log), "utf8").split("\n").slice(-40).join("\n")}`);
    }
  }
  return code ?? 1;
}

async function end() {
  for (const child of children.splice(0)) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
  rmSync(folder, { recursive: true, force: true });
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void end().then(() => process.exit(130)));
try {
  process.exitCode = await main();
} finally {
  await end();
}
