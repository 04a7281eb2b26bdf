// Takes the calls that a chart makes on a canvas, and writes them down as SVG.

export class SvgPaper {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.parts = [];
    this.path = "";
    this.globalAlpha = 1;
    this.dash = [];
    this.stack = [];
    this.clips = 0;
    this.font = "11px sans-serif";
    this.textAlign = "left";
    this.textBaseline = "alphabetic";
  }

  save() { this.stack.push(0); }
  restore() { for (let n = this.stack.pop(); n > 0; n--) this.parts.push("</g>"); }
  beginPath() { this.path = ""; }
  moveTo(x, y) { this.path += `M${cut(x)} ${cut(y)}`; }
  lineTo(x, y) { this.path += `L${cut(x)} ${cut(y)}`; }
  rect(x, y, w, h) { this.path += `M${cut(x)} ${cut(y)}h${cut(w)}v${cut(h)}h${cut(-w)}z`; }
  arc(x, y, r) { this.path += `M${cut(x - r)} ${cut(y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`; }
  closePath() { this.path += "z"; }
  setLineDash(dash) { this.dash = dash; }
  clearRect() {}

  clip() {
    const id = `c${++this.clips}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path}"/></clipPath><g clip-path="url(#${id})">`);
    if (this.stack.length) this.stack[this.stack.length - 1]++;
  }

  stroke() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    this.parts.push(`<path d="${this.path}" fill="none" stroke="${safe(this.strokeStyle)}" stroke-width="${this.lineWidth}"` +
      ` stroke-linejoin="round" opacity="${this.globalAlpha}"${dash}/>`);
  }

  fill() { this.parts.push(`<path d="${this.path}" fill="${safe(this.fillStyle)}" opacity="${this.globalAlpha}"/>`); }

  fillRect(x, y, w, h) {
    this.parts.push(`<rect x="${cut(x)}" y="${cut(y)}" width="${cut(w)}" height="${cut(h)}" fill="${safe(this.fillStyle)}" opacity="${this.globalAlpha}"/>`);
  }

  fillText(text, x, y) {
    const anchor = { left: "start", right: "end", center: "middle" }[this.textAlign] ?? "start";
    const down = { middle: 4, top: 9 }[this.textBaseline] ?? 0;
    this.parts.push(`<text x="${cut(x)}" y="${cut(y + down)}" text-anchor="${anchor}" font-size="11" font-family="system-ui, sans-serif" fill="${safe(this.fillStyle)}">${safe(text)}</text>`);
  }

  measureText(text) { return { width: String(text).length * 6.2 }; }

  toString() {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}">${this.parts.join("")}</svg>`;
  }
}

const cut = (value) => Math.round(value * 100) / 100;
const safe = (text) => String(text).replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
