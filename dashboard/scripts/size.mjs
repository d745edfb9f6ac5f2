// Prints the gzip size of what is served, and fails above the budget: `node scripts/size.mjs [KB]`.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const budget = Number(process.argv[2] ?? 150) * 1024;
const files = readdirSync("dist", { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
let sum = 0;
for (const file of files) {
  const path = join(file.parentPath, file.name);
  const size = gzipSync(readFileSync(path), { level: 9 }).length;
  sum += size;
  console.log(`${String(size).padStart(8)}  ${path}`);
}
console.log(`${String(sum).padStart(8)}  in all (gzip), budget ${budget}`);
if (sum > budget) process.exit(1);
