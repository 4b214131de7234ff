import { defineConfig } from "vite";

// Where `npm run dev` finds the service.
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
