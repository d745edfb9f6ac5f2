/** Ring, bars and the throughput chart. Each has its numbers as text beside it. */
import { useEffect, useRef } from "preact/hooks";
import type UPlot from "uplot";
import { t } from "../i18n";
import type { Slice } from "../model/statistics";
import { showCount, showRate } from "../model/units";
import { dark } from "../state/prefs";

const RADIUS = 42;
const AROUND = 2 * Math.PI * RADIUS;

export function Ring({ slices, total, label }: { slices: Slice[]; total: number; label: string }) {
  return (
    <svg class="ring" viewBox="0 0 120 120" role="img" aria-label={label}>
      <circle class="ring-track" cx="60" cy="60" r={RADIUS} fill="none" stroke-width="12" />
      {slices
        .filter((slice) => slice.share > 0)
        .map((slice) => (
          <circle
            key={slice.name}
            class={`ring-slice s-${slice.name}`}
            cx="60"
            cy="60"
            r={RADIUS}
            fill="none"
            stroke-width="12"
            stroke-dasharray={`${Math.max(slice.share * AROUND - (slice.share < 1 ? 1 : 0), 0.5)} ${AROUND}`}
            stroke-dashoffset={-slice.from * AROUND}
            transform="rotate(-90 60 60)"
          />
        ))}
      <text class="ring-total" x="60" y="61" text-anchor="middle">
        {showCount(total)}
      </text>
      <text class="ring-label" x="60" y="77" text-anchor="middle">
        {t("stats.total")}
      </text>
    </svg>
  );
}

/** The last minute: 20 samples of 3 s; the newest is at the right. */
export function Bars({ values, slots, label }: { values: number[]; slots: number; label: string }) {
  const most = Math.max(...values, 0);
  const from = slots - values.length;
  return (
    <svg class="bars" viewBox={`0 0 ${slots * 10} 40`} preserveAspectRatio="none" role="img" aria-label={label}>
      {Array.from({ length: slots }, (_, slot) => {
        const value = values[slot - from] ?? 0;
        const height = most > 0 ? Math.max((value / most) * 38, value > 0 ? 2 : 1) : 1;
        return (
          <rect key={slot} class={value > 0 ? "bar" : "bar none"} x={slot * 10 + 1.5} y={40 - height} width="7" height={height} rx="1" />
        );
      })}
    </svg>
  );
}

export interface Series {
  label: string;
  /** Name of a CSS colour variable. */
  color: string;
  values: (number | null)[];
}

/** uPlot is loaded with the first chart, not with the first page. */
export function Chart(props: { times: number[]; series: Series[]; label: string; height?: number }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const isDark = dark.value;
  const names = props.series.map((one) => one.label).join("\n");
  const height = props.height ?? 190;

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    let gone = false;
    const watch = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height });
    });
    void import("uplot").then(({ default: Plot }) => {
      if (gone) return;
      plot.current = new Plot(options(latest.current.series, element.clientWidth, height), data(latest.current), element);
      watch.observe(element);
    });
    return () => {
      gone = true;
      watch.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [isDark, names, height]);

  const last = props.times.at(-1);
  useEffect(() => {
    plot.current?.setData(data(props));
  }, [last, props.times.length, names]);

  return (
    <div class="chart" role="img" aria-label={props.label}>
      <div class="chart-box" ref={box} />
    </div>
  );
}

function data(props: { times: number[]; series: Series[] }): UPlot.AlignedData {
  return [props.times.map((ms) => ms / 1000), ...props.series.map((one) => one.values)] as UPlot.AlignedData;
}

function options(series: Series[], width: number, height: number): UPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const two = (value: number) => String(value).padStart(2, "0");
  const axis = {
    stroke: color("--text-soft"),
    font: `11px ${style.fontFamily || "sans-serif"}`,
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(high * 1.15, 1)] } },
    axes: [
      {
        ...axis,
        size: 26,
        space: 90,
        values: (_plot, ticks) =>
          ticks.map((tick) => {
            const at = new Date(tick * 1000);
            return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
          }),
      },
      { ...axis, size: 48, space: 34, values: (_plot, ticks) => ticks.map(showRate) },
    ],
    series: [
      {},
      ...series.map((one) => ({
        label: one.label,
        stroke: color(one.color),
        width: 2,
        fill: `${color(one.color)}1f`,
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

export function Legend({ items }: { items: { color: string; text: string; value: string }[] }) {
  return (
    <ul class="legend">
      {items.map((item) => (
        <li key={item.text}>
          <span class={`swatch ${item.color}`} aria-hidden="true" />
          {item.text} <strong>{item.value}</strong>
        </li>
      ))}
    </ul>
  );
}
