/** `Scatter`: points drawn by WebGL 2, each layer in one call. */

import type { View } from "./camera";
import { PALETTE, rgb } from "./colours";
import { shuffled } from "./pace";

/** Places of a layer, slots of the palette, and which points stand out where some do. */
export interface Layer {
  x: Uint16Array;
  y: Uint16Array;
  slots: Uint8Array;
  /** 1 for points that stand out, the others fade; null where none does. */
  marked: Uint8Array | null;
  shape: "disc" | "diamond";
}

const VERTEX = `#version 300 es
uniform vec2 centre;
uniform vec2 scale;
uniform float size;
uniform float pass_;
uniform vec3 palette[${PALETTE.length}];
layout(location = 0) in float x;
layout(location = 1) in float y;
layout(location = 2) in uint slot;
layout(location = 3) in uint marked;
out vec3 colour;
void main() {
  colour = palette[slot];
  gl_PointSize = size;
  bool drawn = pass_ < 0.0 || float(marked) == pass_;
  gl_Position = drawn ? vec4((vec2(x, y) - centre) * scale, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform float size;
uniform float opacity;
uniform vec3 ink;
uniform float faded;
uniform vec3 page;
uniform bool diamond;
uniform float rim_width;
in vec3 colour;
out vec4 drawn;
void main() {
  vec2 at = (gl_PointCoord - 0.5) * size;
  float distance = diamond ? abs(at.x) + abs(at.y) : length(at);
  float inside = clamp(size * 0.5 - distance, 0.0, 1.0);
  if (inside <= 0.0) discard;
  vec3 shown = mix(colour, page, faded);
  if (diamond) {
    float rim = clamp(distance - size * 0.5 + rim_width, 0.0, 1.0);
    shown = mix(page, ink, rim);
  }
  drawn = vec4(shown, 1.0) * inside * opacity;
}`;

interface Uploaded {
  array: WebGLVertexArrayObject;
  buffers: { x: WebGLBuffer; y: WebGLBuffer; slots: WebGLBuffer; marked: WebGLBuffer; order: WebGLBuffer };
  count: number;
  marks: boolean;
  shape: Layer["shape"];
}

export interface Theme {
  page: string;
  ink: string;
}

export class Scatter {
  private readonly gl: WebGL2RenderingContext;
  private program!: WebGLProgram;
  private uniforms = new Map<string, WebGLUniformLocation | null>();
  private layers = new Map<string, Uploaded>();

  /** @throws Error where the browser has no WebGL 2. */
  constructor(private readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("this browser draws no WebGL 2");
    this.gl = gl;
    this.prepare();
  }

  /** Make program and state anew, as at the start and after the context was lost. */
  prepare(): void {
    const gl = this.gl;
    this.layers.clear();
    this.uniforms.clear();
    this.program = link(gl);
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.uniform3fv(this.uniform("palette[0]"), PALETTE.flatMap(rgb));
  }

  /** Upload a layer, or take it away. */
  set(name: string, layer: Layer | null): void {
    const gl = this.gl;
    const old = this.layers.get(name);
    if (old) {
      gl.deleteVertexArray(old.array);
      for (const buffer of Object.values(old.buffers)) gl.deleteBuffer(buffer);
      this.layers.delete(name);
    }
    if (!layer) return;
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const buffers = {
      x: this.floats(0, layer.x),
      y: this.floats(1, layer.y),
      slots: this.bytes(2, layer.slots),
      marked: this.bytes(3, layer.marked ?? new Uint8Array(layer.x.length)),
      order: this.order(layer.x.length),
    };
    gl.bindVertexArray(null);
    this.layers.set(name, {
      array, buffers, count: layer.x.length, marks: layer.marked !== null, shape: layer.shape,
    });
  }

  /** Change what points of a layer look like. */
  repaint(name: string, slots: Uint8Array, marked: Uint8Array | null): void {
    const gl = this.gl;
    const layer = this.layers.get(name);
    if (!layer) return;
    layer.marks = marked !== null;
    gl.bindBuffer(gl.ARRAY_BUFFER, layer.buffers.slots);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, slots);
    gl.bindBuffer(gl.ARRAY_BUFFER, layer.buffers.marked);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, marked ?? new Uint8Array(layer.count));
  }

  /**
   * @param ratio device pixels per CSS pixel.
   * @param size of a point, in CSS pixels.
   * @param share of the points to draw, from 0 to 1; those of a share are spread over the whole map.
   */
  draw(view: View, ratio: number, size: number, theme: Theme, share = 1): void {
    const gl = this.gl;
    const [width, height] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(this.uniform("centre"), view.x, view.y);
    gl.uniform2f(this.uniform("scale"), (2 * view.scale) / view.width, (2 * view.scale) / view.height);
    gl.uniform3fv(this.uniform("page"), rgb(theme.page));
    gl.uniform3fv(this.uniform("ink"), rgb(theme.ink));
    for (const layer of this.layers.values()) {
      const diamond = layer.shape === "diamond";
      const pixels = (diamond ? Math.max(9, size * 1.6) : size) * ratio;
      gl.uniform1f(this.uniform("rim_width"), 2.2 * ratio);
      gl.uniform1i(this.uniform("diamond"), diamond ? 1 : 0);
      gl.bindVertexArray(layer.array);
      if (layer.marks) {
        this.pass(layer, share, 0, pixels, 1, 0.78);
        this.pass(layer, share, 1, pixels * 1.25, 1, 0);
      } else {
        this.pass(layer, share, -1, pixels, diamond ? 0.95 : 0.85, 0);
      }
    }
    gl.bindVertexArray(null);
  }

  private pass(layer: Uploaded, share: number, which: number, size: number, opacity: number, faded: number): void {
    const gl = this.gl;
    gl.uniform1f(this.uniform("pass_"), which);
    gl.uniform1f(this.uniform("size"), size);
    gl.uniform1f(this.uniform("opacity"), opacity);
    gl.uniform1f(this.uniform("faded"), faded);
    gl.drawElements(gl.POINTS, Math.ceil(layer.count * share), gl.UNSIGNED_INT, 0);
  }

  private uniform(name: string): WebGLUniformLocation | null {
    if (!this.uniforms.has(name)) this.uniforms.set(name, this.gl.getUniformLocation(this.program, name));
    return this.uniforms.get(name) ?? null;
  }

  private floats(location: number, values: Uint16Array): WebGLBuffer {
    const buffer = this.fill(location, values);
    this.gl.vertexAttribPointer(location, 1, this.gl.UNSIGNED_SHORT, true, 0, 0);
    return buffer;
  }

  private bytes(location: number, values: Uint8Array): WebGLBuffer {
    const buffer = this.fill(location, values);
    this.gl.vertexAttribIPointer(location, 1, this.gl.UNSIGNED_BYTE, 0, 0);
    return buffer;
  }

  /** Points are drawn in no order: no value lies over the others, and the first ones are a fair sample. */
  private order(count: number): WebGLBuffer {
    const gl = this.gl;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, shuffled(count), gl.STATIC_DRAW);
    return buffer;
  }

  private fill(location: number, values: ArrayBufferView): WebGLBuffer {
    const gl = this.gl;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(location);
    return buffer;
  }
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error("the graphics card is not available");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`the map cannot be drawn: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
