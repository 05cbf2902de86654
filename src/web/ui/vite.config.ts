// Build settings: a relative base so that any path prefix works, hashed asset
// names, no source maps, and a licence list for the bundled packages.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const api = { target: 'http://127.0.0.1:9090', changeOrigin: false };
const proxy = { '/api': api, '/-/': api };

export default defineConfig({
  base: './',
  plugins: [react()],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    sourcemap: false,
    // Small files must stay files: the content security policy only allows
    // data: addresses for images.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    target: 'es2022',
    rolldownOptions: {
      output: {
        codeSplitting: {
          // Few files: what most pages share, the editor, and the pages.
          groups: [
            {
              name: 'editor',
              test: /node_modules[\\/](@codemirror|@lezer|@prometheus-io|@marijn|crelt|style-mod|w3c-keyname|lru-cache)/,
            },
            {
              name: 'shared',
              test: /node_modules[\\/](?!uplot)|src[\\/](lib|api)[\\/]|src[\\/]query[\\/]Messages/,
            },
          ],
        },
      },
    },
    license: { fileName: 'third-party-licenses.md' },
  },
  // The query language must come with the same copies of the editor's packages as the source does.
  test: {
    server: { deps: { inline: [/@prometheus-io/, /@codemirror/, /@lezer/] } },
    alias: { '@prometheus-io/codemirror-promql': '@prometheus-io/codemirror-promql/dist/esm/index.js' },
  },
  server: { proxy },
  preview: { proxy },
});
