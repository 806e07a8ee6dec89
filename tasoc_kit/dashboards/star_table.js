// A table of stars, one page at a time: ordered by its headings, walked with the arrow keys.

export function render({ model }) {
  const frame = document.createElement("div")
  frame.className = "frame"
  const table = document.createElement("table")
  table.setAttribute("role", "grid")
  table.setAttribute("aria-label", model.label)
  const head = document.createElement("thead")
  const body = document.createElement("tbody")
  table.append(head, body)
  frame.append(table)

  const order = (name) => {
    const again = model.order === name
    model.descending = again ? !model.descending : false
    model.order = name
  }

  const drawHead = () => {
    const row = document.createElement("tr")
    for (const [name, title, unit] of model.columns) {
      const cell = document.createElement("th")
      cell.scope = "col"
      const active = model.order === name
      cell.setAttribute("aria-sort", active ? (model.descending ? "descending" : "ascending") : "none")
      const button = document.createElement("button")
      button.type = "button"
      button.textContent = title + (active ? (model.descending ? " ↓" : " ↑") : "")
      if (unit) button.title = unit
      button.addEventListener("click", () => order(name))
      cell.append(button)
      row.append(cell)
    }
    head.replaceChildren(row)
  }

  const drawBody = (keepFocus) => {
    const rows = model.rows.map((star) => {
      const row = document.createElement("tr")
      const chosen = star.star === model.star
      row.setAttribute("aria-selected", String(chosen))
      row.dataset.verdict = star.verdict
      row.tabIndex = chosen ? 0 : -1
      row.addEventListener("click", () => { model.star = star.star })
      for (const [name] of model.columns) {
        const cell = document.createElement("td")
        cell.setAttribute("role", "gridcell")
        cell.className = name
        cell.textContent = name === "verdict" && star.verdict === "open" ? "" : star[name]
        row.append(cell)
      }
      return row
    })
    if (rows.length && !rows.some((row) => row.tabIndex === 0)) rows[0].tabIndex = 0
    body.replaceChildren(...rows)
    if (keepFocus) body.querySelector("tr[aria-selected=true]")?.focus()
  }

  table.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 1, PageUp: -1 }[event.key]
    if (!step || event.target.tagName === "BUTTON") return
    event.preventDefault()
    event.stopPropagation()
    model.send_msg({ step, page: event.key.startsWith("Page") })
  })

  const redraw = () => drawBody(frame.contains(frame.getRootNode().activeElement))
  for (const name of ["columns", "order", "descending"]) model.on(name, drawHead)
  for (const name of ["rows", "star"]) model.on(name, redraw)
  drawHead()
  drawBody(false)
  return frame
}
