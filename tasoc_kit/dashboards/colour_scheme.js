// Light or dark: as chosen last, which a cookie remembers, else as the reader's system is set.

export function render({ model }) {
  const place = document.createElement("span")
  place.hidden = true
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
  return place
}
