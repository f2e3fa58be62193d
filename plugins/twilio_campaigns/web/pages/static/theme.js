// Airflow keeps its colour mode under the key "theme" of this origin's storage: light, dark or system.
// Runs before the page is drawn, so that a dark page never flashes white.
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let chosen = null;
    try {
      chosen = window.localStorage.getItem("theme");
    } catch {
      // A browser may forbid storage; the system's mode is what is left.
    }
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.dataset.mode = dark ? "dark" : "light";
    document.documentElement.dataset.framed = String(window.top !== window);
    document.dispatchEvent(new Event("colour-mode"));
  };
  apply();
  // Fired when another document of this origin, Airflow's own, changes it.
  window.addEventListener("storage", (event) => event.key === "theme" && apply());
  system.addEventListener("change", apply);
})();
