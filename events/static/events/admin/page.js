/* What the pages of events do by script: each part looks for its element, and most pages have one. */

import { copyButtons } from "./copy.js";
import { Live } from "./live.js";

copyButtons(document);

const place = document.querySelector("[data-events-live]");
if (place) new Live(place);
