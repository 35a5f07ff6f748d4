// Before the first paint: the colours and the direction chosen earlier, if any. Else the system's preference rules.
try {
  const theme = localStorage.getItem("pulseboard.theme");
  if (theme === "day" || theme === "night") document.documentElement.dataset.theme = theme;
  if (localStorage.getItem("pulseboard.language") === "ar") document.documentElement.dir = "rtl";
} catch {
  // Storage is denied: the system's preference rules.
}
