// Before the first paint: the theme that was chosen here, if any.
try {
  const theme = localStorage.getItem('plexus.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Storage may be off; the system's theme does.
}
