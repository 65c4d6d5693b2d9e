// Warns when little memory is left; what it prints goes to the run's log.

import { reportFinding, settings } from "keepwell:task/core@0.1.0";
import { getMemory } from "keepwell:task/metrics@0.1.0";

const manifest = {
  schema: 1,
  name: "memory-javascript",
  version: "0.1.0",
  description: "Watches the memory",
  contract: "0.1.0",
  wasi: true,
  tasks: [
    {
      name: "memory-check",
      description: "Warns when less than a share of the memory is available",
      needs: [{ capability: "metrics", reason: "to read how much memory is available" }],
      settings: [
        {
          name: "least-available",
          default: 0.1,
          schema: { type: "number", minimum: 0, maximum: 1 },
          help: "Share of the memory below which to warn",
        },
      ],
    },
  ],
};

function memory() {
  try {
    return getMemory();
  } catch (refused) {
    throw { tag: "refused", val: refused.payload };
  }
}

export const task = {
  run() {
    const least = Number(JSON.parse(settings())["least-available"] ?? 0.1);
    const { availableBytes, totalBytes } = memory();
    const share = Number(availableBytes) / Math.max(Number(totalBytes), 1);
    console.log(`${share.toFixed(2)} of the memory is available`);
    if (share < least) {
      reportFinding({
        id: "memory-low",
        subject: "memory",
        severity: "warning",
        title: `only ${share.toFixed(2)} of the memory is available`,
        detail: "",
        data: [],
      });
    }
    const status = share < least ? "warned" : "done";
    return { status, line: `${share.toFixed(2)} available`, data: "{}" };
  },

  review(_request, before) {
    return before;
  },

  describe() {
    return JSON.stringify(manifest);
  },
};
