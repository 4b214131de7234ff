import { defineConfig } from "vite";

// The service that `npm run dev` forwards calls to.
const SERVICE = "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    license: { fileName: "licenses.txt" },
  },
  server: { proxy: { "/overplane.setup.v1.CustomerGroupService": SERVICE } },
});
