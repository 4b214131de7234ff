export default {
  clients: {
    input: "openapi.json",
    output: {
      target: "gen/orval.ts",
      client: "fetch",
      override: { mutator: { path: "orval_fetch.ts", name: "orvalFetch" } },
    },
  },
};
