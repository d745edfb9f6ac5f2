import { defineConfig } from "vite";

// Fixed file names: the built files are committed and compared in CI, and a page loaded from one
// node stays usable when a load balancer asks another node for its parts. The server revalidates
// by ETag, so names need no hash.
export default defineConfig({
  base: "/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    rollupOptions: {
      output: {
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: {
    port: 5173,
    proxy: { "/api": { target: process.env["SPANMQ_API"] ?? "http://127.0.0.1:18083" } },
  },
});
