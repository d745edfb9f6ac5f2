import { render } from "preact";
import { App } from "./app";
import { startRouter } from "./router";
import { applyPrefs } from "./state/prefs";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/layout.css";
import "./styles/blocks.css";
import "./styles/overview.css";
import "./styles/tables.css";
import "./styles/link.css";
import "./styles/forms.css";
import "./styles/narrow.css";

applyPrefs();
startRouter();
const root = document.getElementById("app");
if (root) render(<App />, root);
