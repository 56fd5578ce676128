// Events over time, stacked by severity.
import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Bucket } from "../api/types";
import { SEVERITIES } from "./marks";

/** The worst stand at the bottom, where small numbers are seen. */
export const STACK = SEVERITIES;

export function SeverityChart({ buckets, height, onRange }:
  { buckets: readonly Bucket[]; height: number; onRange?: (from: Date, to: Date) => void }) {
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  const { ref: size, width } = useElementSize();
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const zoom = useRef(onRange);
  zoom.current = onRange;
  const data = useMemo(() => stack(buckets), [buckets]);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    if (!host.current || width === 0) return;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: color("--mantine-color-dimmed"), font: "11px 'Inter Variable', system-ui",
      grid: { stroke: color("--moat-border"), width: 1 }, ticks: { show: false },
    };
    const bars = uPlot.paths.bars?.({ size: [0.72, 40], radius: 0.12 });
    const chart = new uPlot({
      width, height,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: onRange !== undefined, y: false, setScale: false } },
      scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(4, most * 1.1)] } },
      axes: [
        { ...axis, size: 30, grid: { show: false }, values: (_, splits) => splits.map(clock) },
        { ...axis, size: 44, space: 36, values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? short(value) : "")) },
      ],
      // The tallest is drawn first: each further one stands in front of it.
      series: [{}, ...[...STACK].reverse().map((severity) => ({
        label: severity, fill: color(`--moat-fill-${severity.toLowerCase()}`), width: 0, points: { show: false },
        ...(bars ? { paths: bars } : {}),
      }))],
      hooks: {
        setSelect: [(u) => {
          if (u.select.width < 6) return;
          zoom.current?.(new Date(u.posToVal(u.select.left, "x") * 1000),
            new Date(u.posToVal(u.select.left + u.select.width, "x") * 1000));
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    }, latest.current, host.current);
    plot.current = chart;
    return () => {
      plot.current = null;
      chart.destroy();
    };
  }, [width, height, scheme, onRange !== undefined]);
  useEffect(() => plot.current?.setData(data), [data]);

  const total = buckets.reduce((sum, bucket) => sum + bucket.total, 0);
  return (
    <div ref={size} style={{ minHeight: height }}>
      <div ref={host} role="img" aria-label={`${total} events over time, by severity`} />
    </div>
  );
}

function stack(buckets: readonly Bucket[]): uPlot.AlignedData {
  const times = buckets.map((bucket) => new Date(bucket.at).getTime() / 1000);
  const sums = buckets.map(() => 0);
  const series = STACK.map((severity) => buckets.map((bucket, index) => {
    sums[index] = (sums[index] ?? 0) + (bucket.bySeverity[severity] ?? 0);
    return sums[index] ?? 0;
  }));
  return [times, ...series.reverse()];
}

function clock(seconds: number): string {
  const time = new Date(seconds * 1000);
  const midnight = time.getHours() === 0 && time.getMinutes() === 0;
  return midnight ? time.toLocaleDateString(undefined, { day: "2-digit", month: "short" })
    : time.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
}

function short(value: number): string {
  return value >= 1000 ? `${+(value / 1000).toFixed(1)}k` : String(value);
}
