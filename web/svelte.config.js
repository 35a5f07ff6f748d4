/** @type {import("@sveltejs/vite-plugin-svelte").SvelteConfig} */
export default {
  compilerOptions: {
    runes: true,
    // Hashes of the style, not of the file's path: the bundle is the same wherever it is built.
    cssHash: ({ hash, css }) => `p-${hash(css)}`,
  },
};
