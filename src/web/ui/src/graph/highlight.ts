// A second canvas over the chart that draws one series strongly. Moving the
// pointer only redraws this one line, whatever the number of series.
import type uPlot from 'uplot';
import type { Column } from './align';

export class Highlight {
  private readonly canvas = document.createElement('canvas');
  private readonly u: uPlot;

  constructor(u: uPlot) {
    this.u = u;
    this.canvas.className = 'ek-graph-highlight';
    u.over.append(this.canvas);
  }

  clear() {
    this.canvas.getContext('2d')?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(column: Column, row: number, color: string, ground: string) {
    const { over, data } = this.u;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(over.clientWidth * ratio);
    const height = Math.round(over.clientHeight * ratio);
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const context = this.canvas.getContext('2d');
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);

    const times = data[0];
    context.beginPath();
    let isDown = false;
    for (let i = 0; i < column.length; i++) {
      const value = column[i];
      if (value === null || value === undefined) {
        isDown = false;
        continue;
      }
      const x = this.u.valToPos(times[i]!, 'x');
      const y = this.u.valToPos(value, 'y');
      if (isDown) context.lineTo(x, y);
      else context.moveTo(x, y);
      isDown = true;
    }
    context.lineWidth = 2.5;
    context.lineJoin = 'round';
    context.strokeStyle = color;
    context.stroke();

    const value = column[row];
    if (value === null || value === undefined) return;
    context.beginPath();
    context.arc(this.u.valToPos(times[row]!, 'x'), this.u.valToPos(value, 'y'), 4.5, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = ground;
    context.stroke();
  }
}
