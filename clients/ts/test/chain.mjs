// A chain of one node for tests, run by the plexus binary.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The binary under test: $PLEXUS, or what make build makes. */
const plexus = process.env.PLEXUS ?? path.resolve(import.meta.dirname, "../../../bin/plexus");

/** Tells whether something listens on a port of this host. */
function taken(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(true));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(false)));
  });
}

/** Returns the first of n free ports in a row. */
async function freePorts(n) {
  for (let first = 12000 + (process.pid % 190) * 100; first < 32000; first += 100) {
    const busy = await Promise.all(Array.from({ length: n }, (_, i) => taken(first + i)));
    if (!busy.includes(true)) return first;
  }
  throw new Error(`no ${n} free ports in a row`);
}

/**
 * Starts a chain where each of the addresses has 10,000 plx. Returns its RPC
 * endpoint and how to stop it.
 */
export async function startChain(addresses) {
  const home = await mkdtemp(path.join(tmpdir(), "plexus-client-"));
  const port = await freePorts(4);
  const accounts = addresses.flatMap((a) => ["--account", `${a}=10000plx`]);
  await run(plexus, [
    "chain", "init", "--home", home, "--port", `${port}`, "--block-time", "300ms",
    "--min-gas-price", "0.01nplx", ...accounts,
  ]);
  const node = spawn(plexus, ["chain", "start", "--home", home], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  node.stderr.on("data", (chunk) => (log += chunk));
  const stop = async () => {
    if (node.exitCode === null && node.signalCode === null) {
      node.kill("SIGINT");
      await once(node, "exit");
    }
    await rm(home, { recursive: true, force: true });
  };
  try {
    await run(plexus, ["chain", "status", "--home", home, "--wait", "2"], { timeout: 600_000 });
  } catch (error) {
    await stop();
    throw new Error(`the chain did not start: ${error.message}\n${log}`);
  }
  return { rpc: `http://127.0.0.1:${port + 1}`, stop };
}
