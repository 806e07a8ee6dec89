// What the browser does for every page: light or dark, figures that fit, an address that Back leaves, and a
// word when the server is gone.

const LEGEND_GAP = 8
const TICK_ROOM = 50 // screen pixels that a number along a figure takes, with a gap
const LOST_AFTER = 1000 // milliseconds: who leaves a page loses its server, too
const NARROW = "(max-width: 719.95px)" // there a sidebar covers the page, or leaves it no room

// Light or dark: as chosen last, which a cookie remembers, else as the reader's system is set.
const rememberScheme = (model) => {
  const keep = () => {
    document.cookie = `${model.cookie}=${model.dark ? 1 : 0}; path=/; max-age=31536000; SameSite=Lax`
  }
  model.on("dark", keep)
  // before the page stands, what is set here reaches nobody
  model.on("after_layout", () => {
    if (document.cookie.includes(`${model.cookie}=`)) return
    model.dark = window.matchMedia("(prefers-color-scheme: dark)").matches
    keep()
  })
}

const above = (element) => element.assignedSlot ?? element.parentElement ?? element.getRootNode().host

const children = (view) => view.children_views?.() ?? []
const figures = (view) => (view.model.min_border === undefined ? children(view).flatMap(figures) : [view])

// What a figure stands in, which is as wide as the page allows.
const placeOf = (view) => {
  let place = above(view.el)
  while (place && !place.matches(".room, .MuiPaper-root")) place = above(place)
  return place
}

// Pixels from the left edge of a figure to the right edge of that.
const roomFor = (view) => {
  const place = placeOf(view)
  if (!place) return Infinity
  const inside = place.getBoundingClientRect().right - parseFloat(getComputedStyle(place).paddingRight)
  return inside - view.el.getBoundingClientRect().left
}

// A legend has as many columns as there is room for.
const fitLegends = (view) => {
  for (const legend of children(view).filter((child) => child.model.ncols !== undefined)) {
    const items = [...legend.shadow_el.querySelectorAll(".bk-item")]
    const widest = Math.max(...items.map((item) => item.getBoundingClientRect().width))
    if (!(widest > 0)) continue
    const columns = Math.floor(view.model.inner_width / (widest + LEGEND_GAP))
    legend.model.setv({ ncols: Math.max(1, Math.min(columns, items.length)) }, { sync: false })
  }
}

// Numbers along a figure do not run into each other.
const fitTicks = (view, made) => {
  for (const { ticker } of view.model.below) {
    if (ticker?.desired_num_ticks === undefined) continue
    if (!made.has(ticker)) made.set(ticker, ticker.desired_num_ticks)
    const room = Math.floor(view.model.inner_width / TICK_ROOM)
    const ticks = Math.max(2, Math.min(made.get(ticker), room))
    ticker.setv({ desired_num_ticks: ticks }, { sync: false })
  }
}

// An image of pixels keeps its shape and is as large as it was made, or as there is room for.
const fitFigures = () => {
  const made = new WeakMap()
  let waiting = 0
  const soon = () => {
    cancelAnimationFrame(waiting)
    waiting = requestAnimationFrame(all)
  }
  const observer = new ResizeObserver(soon)
  const fit = (view) => {
    const { model } = view
    const place = placeOf(view)
    if (place) observer.observe(place)
    if (!(model.inner_width > 0)) return
    fitLegends(view)
    fitTicks(view, made)
    if (model.frame_width === null) return
    if (made.get(model)?.shown !== model.frame_width) {
      if (!made.has(model)) model.properties.frame_width.change.connect(soon)
      made.set(model, { width: model.frame_width, height: model.frame_height })
    }
    const { width, height } = made.get(model)
    const axes = view.el.getBoundingClientRect().width - model.inner_width
    const shown = Math.max(60, Math.min(width, Math.floor(roomFor(view) - axes)))
    made.get(model).shown = shown
    model.setv({ frame_width: shown, frame_height: Math.round((height * shown) / width) }, { sync: false })
  }
  const all = () => {
    for (const root of window.Bokeh.documents.flatMap((open) => open.roots())) {
      const view = window.Bokeh.index.get(root)
      if (view) figures(view).forEach(fit)
    }
  }
  // a figure that comes late is laid out when all else stands
  const late = ({ attr }) => attr === "inner_width" && soon()
  const follow = () => {
    for (const open of window.Bokeh.documents) open.on_change(late)
  }
  return { observer, follow }
}

// A page whose server is gone looks as before, and nothing that is done on it is kept.
const tellLoss = (place) => {
  const said = document.createElement("div")
  said.setAttribute("role", "alert")
  said.style.cssText = `position: fixed; z-index: 3000; left: 50%; bottom: 24px; transform: translateX(-50%);
    width: max-content; max-width: 86vw; padding: 12px 16px; border-radius: 10px; background: #8c1d18;
    color: #fff; font: 0.95rem Roboto, sans-serif; box-shadow: 0 6px 20px rgba(0, 0, 0, 0.4);`
  const again = document.createElement("button")
  again.textContent = "Load the page again"
  again.style.cssText = `margin-left: 12px; padding: 5px 12px; font: inherit; color: inherit; cursor: pointer;
    background: none; border: 1px solid currentColor; border-radius: 6px;`
  again.addEventListener("click", () => window.location.reload())
  let waiting = 0
  const show = () => {
    said.replaceChildren("The server cannot be reached: what is done here is not kept.", again)
    place.replaceChildren(said)
    place.hidden = false
  }
  const hide = () => {
    clearTimeout(waiting)
    place.hidden = true
  }
  for (const open of window.Bokeh.documents) {
    open.on_event("connection_lost", () => { waiting = setTimeout(show, LOST_AFTER) })
    open.on_event("client_reconnected", hide)
  }
}

export function render({ model }) {
  const place = document.createElement("span")
  place.hidden = true
  rememberScheme(model)
  model.on("ended", () => window.location.reload())
  // every star in view is a new address; Back leads to the page before, not to the star before
  window.history.pushState = window.history.replaceState
  const { observer, follow } = fitFigures()
  let stands = false
  model.on("after_layout", () => {
    if (stands) return
    stands = true
    if (window.matchMedia(NARROW).matches) model.sidebar = false
    // new figures make the page longer
    observer.observe(above(place.getRootNode().host))
    follow()
    tellLoss(place)
  })
  return place
}
