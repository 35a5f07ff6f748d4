import "uplot/dist/uPlot.min.css";

import uPlot from "uplot";

import { stack, type Values } from "./stack";

/** What a chart needs from its component; colours are read from the tokens. */
export interface PlotOptions {
  /** Bars set upon each other, instead of lines. */
  bars: boolean;
  series: readonly { colour?: number }[];
  height: number;
  format(value: number): string;
  /** Writes a mark of the time axis; they lie `step` seconds apart. */
  formatTick(seconds: number, step: number): string;
  /** The pointer is at this step; null: it left. */
  hover(index: number | null): void;
}

/** Figures as uPlot takes them. Bars come stacked, the highest first, so that lower ones cover it. */
export function plotData(
  times: readonly number[],
  series: readonly { values: Values }[],
  bars: boolean,
): uPlot.AlignedData {
  const values = series.map((each) => each.values);
  const drawn = bars ? stack(values).reverse() : values.map((each) => [...each]);
  return [[...times], ...drawn] as uPlot.AlignedData;
}

/** A chart in `target`, as wide as it. */
export function makePlot(target: HTMLElement, options: PlotOptions): uPlot {
  const style = getComputedStyle(target);
  const token = (name: string): string => style.getPropertyValue(name).trim();
  const font = `500 11px ${style.fontFamily}`;
  const grid = { stroke: token("--color-line"), width: 1 };
  const axis: uPlot.Axis = { stroke: token("--color-muted"), font, ticks: { show: false }, grid };
  const drawn = options.series.map((each, index) => seriesOf(token(`--color-series-${each.colour ?? (index % 6) + 1}`), options));
  if (options.bars) drawn.reverse();
  return new uPlot(
    {
      width: Math.max(1, target.clientWidth),
      height: options.height,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: !options.bars, size: 7 }, drag: { setScale: false, x: false } },
      scales: { x: { time: true, range: (plot, least, most) => spanOf(plot, least, most, options.bars) }, y: { range: (_, least, most) => rangeOf(least, most, options.bars) } },
      axes: [
        {
          ...axis,
          size: 26,
          gap: 4,
          space: 72,
          grid: { show: false },
          values: (_, splits, _axis, _space, step) => splits.map((each) => options.formatTick(each, step)),
        },
        { ...axis, size: widthOf, values: (_, splits) => splits.map((each) => options.format(each)) },
      ],
      series: [{}, ...drawn],
      hooks: { setCursor: [(plot) => options.hover(plot.cursor.idx ?? null)] },
    },
    [[]],
    target,
  );
}

function seriesOf(colour: string, { bars }: PlotOptions): uPlot.Series {
  if (!bars) return { stroke: colour, width: 1.75, spanGaps: false, points: { show: false } };
  const paths = uPlot.paths.bars?.({ size: [0.72, 48], radius: 0.12 });
  return { stroke: colour, fill: colour, width: 0, spanGaps: false, points: { show: false }, ...(paths ? { paths } : {}) };
}

/** Bars are as wide as their step: the first and the last need room too. */
function spanOf(plot: uPlot, least: number, most: number, bars: boolean): uPlot.Range.MinMax {
  const times = plot.data[0];
  const half = bars && times.length > 1 ? (most - least) / (times.length - 1) / 2 : 0;
  if (least === most) return [least - 1, most + 1];
  return [least - half, most + half];
}

/** Bars stand on 0; a line that never moves gets room around it. */
function rangeOf(least: number | null, most: number | null, bars: boolean): uPlot.Range.MinMax {
  if (least === null || most === null) return [0, 1];
  const low = bars ? Math.min(0, least) : least;
  const high = bars ? Math.max(0, most) : most;
  if (low === high) return low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high) * 1.1];
  const room = (high - low) * 0.08;
  return [low === 0 || (low > 0 && low < room) ? 0 : low - room, high === 0 ? 0 : high + room];
}

/** As wide as the longest figure. */
function widthOf(_plot: uPlot, values: string[] | null): number {
  const longest = Math.max(0, ...(values ?? []).map((each) => each.length));
  return Math.max(36, longest * 6.6 + 12);
}
