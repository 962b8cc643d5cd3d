/* Runs the scripts that a page holds deflated. */

(async () => {
  // Say why a page does nothing, or stopped.
  window.addEventListener("unhandledrejection", ({ reason }) => {
    const status = document.getElementById("status");
    if (status) status.textContent = `This page does not run in this browser: ${reason.message ?? reason}`;
  });
  const script = document.createElement("script");
  script.textContent = await window.pointillist.textIn("scripts");
  document.body.append(script);
})();
