"use strict";
// The browser of cases. Model text is hostile: it reaches the page as text nodes alone, and KaTeX,
// which escapes what it is given, with every command that could load or link turned off.
(async () => {
  const PAGE = 25, LONGEST_FORMULA = 2000;
  const byId = (id) => document.getElementById(id);
  const raw = atob(byId("data").textContent);
  const bytes = Uint8Array.from(raw, (item) => item.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const cases = JSON.parse(await new Response(stream).text());
  // Of several samples the majority decides, as in the scores.
  const right = (side) => side !== null && (side.decided ?? side.verdict === "correct");
  for (const item of cases) {
    const texts = [item.id, item.prompt, item.tuned_prompt, item.base?.text, item.tuned?.text];
    item.search = texts.filter(Boolean).join("\n").toLowerCase();
    const both = item.base && item.tuned;
    item.flip = !both ? "" : right(item.base) ? (right(item.tuned) ? "both" : "lost") : right(item.tuned) ? "gained" : "neither";
    item.change = both ? item.tuned.tokens - item.base.tokens : 0;
  }
  const oneModel = cases.every((item) => item.flip === "");
  for (const option of [...byId("flip").options]) {
    option.hidden = option.disabled = oneModel && ["gained", "lost", "both", "neither"].includes(option.value);
  }
  byId("length").closest("label").hidden = oneModel;
  const verdict = (item) => (item.tuned ?? item.base).verdict;
  for (const name of new Set(cases.map((item) => item.benchmark))) {
    byId("benchmark").append(new Option(name, name));
  }

  const UNSEEN = /[\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u0000-\u0008\u000b-\u001f\u007f-\u009f]|[\u{e0000}-\u{e007f}]/gu;
  const visible = (text) => text
    .replace(UNSEEN, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`)
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = visible(text);
    return made;
  };

  const FORMULA = /\$\$([^$]+)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$(?!\s)([^$\n]+?)(?<!\s)\$(?!\d)|(\\begin\{(align|equation|gather|cases|array|[bpv]?matrix)\*?\}[\s\S]+?\\end\{\6\*?\})|(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})/g;
  const withFormulas = (parent, text) => {
    let last = 0;
    for (const match of text.matchAll(FORMULA)) {
      const tex = match[1] ?? match[2] ?? match[3] ?? match[4] ?? match[5] ?? match[7];
      if (tex.length > LONGEST_FORMULA || visible(tex) !== tex) continue;
      parent.append(visible(text.slice(last, match.index)));
      const span = element("span");
      try {
        katex.render(tex, span, {
          displayMode: [match[1], match[2], match[5]].some((item) => item !== undefined),
          throwOnError: true, trust: false, strict: "ignore", maxSize: 10, maxExpand: 100, output: "htmlAndMathml",
        });
      } catch {
        span.textContent = visible(match[0]);
      }
      parent.append(span);
      last = match.index + match[0].length;
    }
    parent.append(visible(text.slice(last)));
  };
  const shade = (p) => `rgba(var(--shade), ${(0.75 * (1 - p)).toFixed(2)})`;
  for (const p of [1, 0.75, 0.5, 0.25, 0]) {
    const step = element("span", "", p.toFixed(2));
    step.style.backgroundColor = shade(p);
    document.querySelector("#shades .scale").append(step);
  }
  const withConfidence = (parent, side) => {
    let at = 0;
    for (let i = 0; i < side.spans.length; i += 2) {
      const token = element("span", "token", side.text.slice(at, at + side.spans[i]));
      token.style.backgroundColor = shade(side.spans[i + 1] / 100);
      token.title = `p = ${(side.spans[i + 1] / 100).toFixed(2)}`;
      parent.append(token);
      at += side.spans[i];
    }
    parent.append(visible(side.text.slice(at)));
  };

  const showSide = (name, side, view) => {
    const made = element("div");
    if (side === null) return made;
    const meta = element("p", "meta");
    meta.append(element("b", "", name), " · ", element("span", side.verdict.replace(/\W/g, "-"), side.verdict));
    const facts = [`${side.tokens} tokens`];
    if (side.answer !== null) facts.unshift(`answer ${side.answer}`);
    if (side.finish === "length") facts.push("cut off");
    if (side.samples > 1) facts.push(`first of ${side.samples} samples, ${side.right} right, the majority ${side.decided ? "right" : "not"}`);
    if (side.cut) facts.push("shown in part: the samples' file has all of it");
    if (view === "confidence" && !side.spans) facts.push("its tokens’ probabilities are not here");
    meta.append(visible(` · ${facts.join(" · ")}`));
    const text = element("div", "words-of");
    text.tabIndex = 0;
    if (view === "confidence" && side.spans) withConfidence(text, side);
    else if (view === "formulas") withFormulas(text, side.text);
    else text.textContent = visible(side.text);
    made.append(meta, text);
    return made;
  };
  const showCase = (item, view) => {
    const made = element("article", "case");
    made.append(element("h3", "", `${item.benchmark} · ${item.id}`));
    const prompts = [item.prompt, item.tuned_prompt].filter((text) => text !== null).map((text) => {
      const prompt = element("div", "words-of prompt");
      prompt.tabIndex = 0;
      if (view === "formulas") withFormulas(prompt, text);
      else prompt.textContent = visible(text);
      return prompt;
    });
    if (prompts.length > 1) prompts.splice(1, 0, element("p", "meta", "and of the tuned model, which was asked otherwise:"));
    const sides = element("div", "sides");
    const both = item.base && item.tuned;
    if (item.base) sides.append(showSide(both ? "base" : "model", item.base, view));
    if (item.tuned) sides.append(showSide(both ? "tuned" : "model", item.tuned, view));
    made.append(...prompts, sides);
    return made;
  };

  let matching = [], shown = 0;
  const more = () => {
    const view = byId("view").value;
    byId("list").append(...matching.slice(shown, shown + PAGE).map((item) => showCase(item, view)));
    shown = Math.min(shown + PAGE, matching.length);
    byId("count").textContent = `${matching.length} of ${cases.length} cases` + (shown < matching.length ? `, ${shown} shown` : "");
    byId("more").hidden = shown >= matching.length;
  };
  const filter = () => {
    const benchmark = byId("benchmark").value, flip = byId("flip").value, length = byId("length").value;
    const text = byId("text").value.trim().toLowerCase();
    matching = cases.filter((item) =>
      (!benchmark || item.benchmark === benchmark) && (!flip || item.flip === flip || verdict(item) === flip) &&
      (!length || (length === "shorter" ? item.change < 0 : item.change > 0)) && (!text || item.search.includes(text)));
    shown = 0;
    byId("shades").hidden = byId("view").value !== "confidence";
    byId("list").replaceChildren();
    more();
  };
  byId("filter").addEventListener("input", filter);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", more);
  filter();
})();
