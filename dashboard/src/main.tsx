import { render } from "preact";
import { App } from "./app";
import { startRouter } from "./router";
import { applyPrefs } from "./state/prefs";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/layout.css";
import "./styles/pages.css";

applyPrefs();
startRouter();
const root = document.getElementById("app");
if (root) render(<App />, root);
