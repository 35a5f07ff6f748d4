import "./styles/app.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { createApp } from "./lib/app";
import { startLanguage } from "./lib/text.svelte";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
await startLanguage();
mount(App, { target, props: { app: createApp() } });
