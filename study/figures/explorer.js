// The affinity explorer. A row of S is one product of the tokens with the token of the chosen pixel.
(async () => {
  const root = document.currentScript.parentElement;
  const frames = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  root.querySelector(".without-script").remove();
  const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"]
    .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const state = { frame: 0, network: "all", y: 0.6, x: 0.5, normalise: true, side: "ftm" };

  async function unpack(map) {
    const packed = Uint8Array.from(atob(map.data), (letter) => letter.charCodeAt(0));
    const bytes = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
    const [channels, height, width] = map.shape;
    return { channels, height, width, values: Float32Array.from(new Int16Array(bytes), (v) => v * map.scale) };
  }

  // The affinity of every token to the one at (y, x), fractions of height and width: Float64Array of height * width.
  function row(map, y, x, normalise) {
    const count = map.height * map.width;
    const place = Math.min(Math.floor(y * map.height), map.height - 1) * map.width
      + Math.min(Math.floor(x * map.width), map.width - 1);
    const product = new Float64Array(count), square = new Float64Array(count);
    for (let c = 0; c < map.channels; c++) {
      const here = map.values[c * count + place];
      for (let i = 0; i < count; i++) {
        const value = map.values[c * count + i];
        product[i] += here * value;
        square[i] += value * value;
      }
    }
    if (!normalise) return product;
    const own = Math.sqrt(square[place]);
    return product.map((value, i) => value / Math.max(own * Math.sqrt(square[i]), 1e-12));
  }

  function paint(canvas, values, map, low, high) {
    canvas.width = map.width;
    canvas.height = map.height;
    const context = canvas.getContext("2d"), image = context.createImageData(map.width, map.height);
    values.forEach((value, i) => {
      const at = Math.max(0, Math.min(1, (value - low) / (high - low || 1))) * (VIRIDIS.length - 1);
      const k = Math.min(Math.floor(at), VIRIDIS.length - 2);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = VIRIDIS[k][c] + (at - k) * (VIRIDIS[k + 1][c] - VIRIDIS[k][c]);
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  }

  function element(tag, parent, properties = {}) {
    const made = Object.assign(document.createElement(tag), properties);
    parent.append(made);
    return made;
  }

  function choice(label, options, key) {
    const select = element("select", element("label", choices, { textContent: `${label} ` }), { name: key });
    options.forEach(([value, text]) => element("option", select, { value: String(value), textContent: text }));
    select.value = String(state[key]);
    select.addEventListener("change", () => {
      state[key] = options.find(([value]) => String(value) === select.value)[0];
      draw();
    });
  }

  function picture(content, text, className = "") {
    const figure = element("figure", pictures, { className }), place = element("div", figure, { className: "place" });
    place.append(content);
    const cross = element("span", place, { className: "cross" });
    cross.style.top = `${100 * state.y}%`;
    cross.style.left = `${100 * state.x}%`;
    place.addEventListener("click", (event) => {
      const box = place.getBoundingClientRect();
      state.y = Math.min(0.9999, Math.max(0, (event.clientY - box.top) / box.height));
      state.x = Math.min(0.9999, Math.max(0, (event.clientX - box.left) / box.width));
      draw();
    });
    element("figcaption", figure, { textContent: text });
  }

  function photo(address, text, className) {
    picture(Object.assign(new Image(), { src: address, alt: text }), text, className);
  }

  function draw() {
    const frame = frames[state.frame];
    pictures.replaceChildren();
    root.maps = [];
    photo(frame.image, `${frame.name}: click a pixel`, "wide");
    photo(frame.truth, "label", "wide");
    frame.networks.filter(({ name }) => ["all", name].includes(state.network)).forEach((network) => {
      const title = element("h4", pictures);
      const kind = state.side === "ftm" && network.ftm ? "ftm" : "seg";
      const sides = [network[kind], network.sr];
      const rows = sides.map((map) => row(map, state.y, state.x, state.normalise));
      const gap = rows[0].map((value, i) => Math.abs(value - rows[1][i]));
      const low = Math.min(0, ...rows.map((values) => Math.min(...values)));
      const high = Math.max(...rows.map((values) => Math.max(...values)));
      title.textContent = `${network.name} (dark blue ${low.toFixed(2).replace("-", "−")}, yellow ${high.toFixed(2)})`;
      photo(network.prediction, "prediction");
      const mean = gap.reduce((sum, value) => sum + value, 0) / gap.length;
      const texts = [`SSSR branch${kind === "ftm" ? ", after the FTM" : ", before the FTM"}`, "SISR branch",
        `|difference|, mean ${mean.toPrecision(3)} (yellow ${(high - low).toFixed(2)})`];
      [...rows, gap].forEach((values, i) => {
        const canvas = document.createElement("canvas");
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", texts[i]);
        paint(canvas, values, sides[0], i < 2 ? low : 0, i < 2 ? high : high - low);
        picture(canvas, texts[i]);
      });
      root.maps.push({ network: network.name, kind, rows, low, high });
    });
  }

  for (const network of frames.flatMap((frame) => frame.networks)) {
    for (const kind of ["seg", "ftm", "sr"].filter((name) => network[name])) network[kind] = await unpack(network[kind]);
  }
  const choices = element("div", root, { className: "choices" });
  const pictures = element("div", root, { className: "pictures" });
  if (frames.length > 1) choice("frame", frames.map((frame, i) => [i, frame.name]), "frame");
  const names = frames[0].networks.map(({ name }) => name);
  if (names.length > 1) choice("network", [["all", "all"], ...names.map((name) => [name, name])], "network");
  choice("S from", [[true, "cosines (Eq. 2)"], [false, "inner products"]], "normalise");
  choice("SSSR map", [["ftm", "after the FTM, if there is one"], ["seg", "before the FTM"]], "side");
  root.tabIndex = 0;
  root.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || event.target.tagName === "SELECT") return;
    const { height, width } = frames[state.frame].networks[0].sr;
    state.y = Math.min(0.9999, Math.max(0, state.y + step[0] / height));
    state.x = Math.min(0.9999, Math.max(0, state.x + step[1] / width));
    event.preventDefault();
    draw();
  });
  root.explore = (y, x) => { Object.assign(state, { y, x }); draw(); return root.maps; };
  draw();
})();
