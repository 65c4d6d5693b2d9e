// Makes plugin.wasm of plugin.js. What is disabled would import wasi:http.

import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { component } = await componentize({
  sourcePath: "plugin.js",
  witPath: "wit",
  worldName: "memory",
  disableFeatures: ["http", "fetch-event"],
});
await writeFile("plugin.wasm", component);
