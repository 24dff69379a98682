/** The program that lists adapters, as JSON on stdout: a process of its own, because a driver may end or litter it. */
const { listAdapters } = await import("../backend/gpu/adapter.js");

process.stdout.write(JSON.stringify(await listAdapters()), () => process.exit(0));

export {};
