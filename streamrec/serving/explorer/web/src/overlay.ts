/** What is drawn over the points: rings around what is selected, the way of a walk, the keyboard's cross. */

import { toScreen, type Position, type View } from "./camera";

export interface Marks {
  hovered: Position | null;
  selected: Position | null;
  neighbours: readonly Position[];
  path: readonly Position[];
  /** Place on the path that is looked at, and the items nearest to it. */
  step: Position | null;
  nearest: readonly Position[];
  cross: boolean;
}

export interface Colours {
  ink: string;
  page: string;
  accent: string;
  second: string;
}

export function drawMarks(canvas: HTMLCanvasElement, view: View, ratio: number, marks: Marks, colours: Colours): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const [width, height] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);

  const ring = (place: Position, radius: number, colour: string, line: number) => {
    const { x, y } = toScreen(view, place);
    for (const [stroke, thick] of [[colours.page, line + 2.5], [colour, line]] as const) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.strokeStyle = stroke;
      context.lineWidth = thick;
      context.stroke();
    }
  };
  const disc = (place: Position, radius: number, colour: string) => {
    const { x, y } = toScreen(view, place);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.strokeStyle = colours.page;
    context.lineWidth = 2;
    context.stroke();
  };

  if (marks.path.length > 0) {
    for (const [stroke, thick] of [[colours.page, 6], [colours.second, 2.5]] as const) {
      context.beginPath();
      for (const place of marks.path) {
        const { x, y } = toScreen(view, place);
        context.lineTo(x, y);
      }
      context.strokeStyle = stroke;
      context.lineWidth = thick;
      context.lineJoin = context.lineCap = "round";
      context.stroke();
    }
    for (const place of marks.path) disc(place, 3, colours.second);
    disc(marks.path[0], 6, colours.ink);
    disc(marks.path[marks.path.length - 1], 6, colours.ink);
  }
  for (const place of marks.neighbours) ring(place, 7, colours.accent, 2);
  for (const place of marks.nearest) ring(place, 7, colours.second, 2);
  if (marks.step) disc(marks.step, 8, colours.second);
  if (marks.selected) ring(marks.selected, 10, colours.ink, 3);
  if (marks.hovered) ring(marks.hovered, 7, colours.ink, 1.5);
  if (marks.cross) {
    const [x, y] = [view.width / 2, view.height / 2];
    for (const [stroke, thick] of [[colours.page, 4], [colours.ink, 1.5]] as const) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 15 * dx, y + 15 * dy);
      }
      context.strokeStyle = stroke;
      context.lineWidth = thick;
      context.stroke();
    }
  }
}
