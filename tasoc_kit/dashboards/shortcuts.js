// Keys that work anywhere on the page, except where a person is typing.

const OWN_ARROWS = "[role=group], [role=region]" // buttons side by side, and what scrolls by itself
const TYPING = "textarea, select, input:not([type=checkbox]):not([type=radio])"

export function render({ model }) {
  const place = document.createElement("span")
  place.hidden = true
  const listen = (event) => {
    const target = event.composedPath()[0]
    if (!place.isConnected) return document.removeEventListener("keydown", listen)
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (target?.matches?.(TYPING) || target?.isContentEditable || target?.role === "slider") return
    if (event.key.startsWith("Arrow") && target?.closest?.(OWN_ARROWS)) return
    if (!model.keys.includes(event.key)) return
    event.preventDefault()
    model.send_msg({ key: event.key })
  }
  document.addEventListener("keydown", listen)
  return place
}
