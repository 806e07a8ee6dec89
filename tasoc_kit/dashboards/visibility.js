// Whether a person can see the page: a tab in the background asks the server for nothing.

export function render({ model }) {
  const place = document.createElement("span")
  place.hidden = true
  const tell = () => {
    if (!place.isConnected) return document.removeEventListener("visibilitychange", tell)
    model.visible_now = !document.hidden
  }
  document.addEventListener("visibilitychange", tell)
  model.on("after_layout", tell)
  return place
}
