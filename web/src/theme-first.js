// Before the first paint: the colours chosen earlier, if any. Else the system's preference rules.
try {
  const theme = localStorage.getItem("pulseboard.theme");
  if (theme === "day" || theme === "night") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is denied: the system's preference rules.
}
