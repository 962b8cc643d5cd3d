"use strict";
/* Runs the scripts that a page holds deflated. */

(async () => {
  const script = document.createElement("script");
  script.textContent = await window.pointillist.textIn("scripts");
  document.body.append(script);
})();
