// The one table: virtual, rows of one height so that nothing jumps, reachable by keyboard, sortable where asked.
import { useElementSize, useMergedRef } from "@mantine/hooks";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, type RefObject, useEffect, useMemo, useRef, useState } from "react";

export interface Column<Row> {
  title: string;
  /** A track of CSS grid: `120px`, `minmax(160px, 1fr)`. */
  width: string;
  cell: (row: Row) => ReactNode;
  /** Left out where the table is narrower, in pixels. */
  from?: number;
  /** What to sort by; without it the column is not sortable. */
  order?: (row: Row) => string | number;
}

interface Options<Row> {
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string;
  /** Shown in place of rows. */
  empty: ReactNode;
  onOpen?: (row: Row) => void;
  selected?: string | null;
  rowHeight?: number;
  /** Called near the end, to load more. */
  onEnd?: () => void;
  /** Takes all the height there is, and scrolls within. */
  fill?: boolean;
  onScroll?: (fromTop: number) => void;
  scroller?: RefObject<HTMLDivElement | null>;
}

const HEAD = 36;

export function DataTable<Row>(options: Options<Row>) {
  const { rowKey, onOpen, rowHeight = 42, onEnd, fill, onScroll } = options;
  const own = useRef<HTMLDivElement>(null);
  const scroller = options.scroller ?? own;
  const { ref: measured, width } = useElementSize<HTMLDivElement>();
  const columns = useMemo(() => options.columns.filter(({ from }) => from === undefined || width >= from), [options.columns, width]);
  const [sort, setSort] = useState<Sort | null>(null);
  const rows = useMemo(() => sorted(options.rows, columns, sort), [options.rows, columns, sort]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    scrollPaddingStart: HEAD,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (onEnd && rows.length > 0 && last >= rows.length - 20) onEnd();
  }, [onEnd, last, rows.length]);

  const onKeyDown = (event: KeyboardEvent<HTMLElement>, index: number) => {
    if (event.target !== event.currentTarget) return;
    const row = rows[index];
    if ((event.key === "Enter" || event.key === " ") && row && onOpen) {
      event.preventDefault();
      onOpen(row);
      return;
    }
    const target = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (target === undefined || !rows[target]) return;
    event.preventDefault();
    virtual.scrollToIndex(target);
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`[data-index="${target}"]`)?.focus({ preventScroll: true }));
  };

  const attach = useMergedRef(scroller, measured);
  if (rows.length === 0) {
    return <div ref={attach} className="panel" style={fill ? { flex: 1, minHeight: 0, overflow: "auto" } : {}}>{options.empty}</div>;
  }
  const gridTemplateColumns = columns.map((column) => column.width).join(" ");
  return (
    <div ref={attach} className="panel table" role="table" aria-label={options.label} aria-rowcount={rows.length + 1}
      onScroll={onScroll && ((event) => onScroll(event.currentTarget.scrollTop))}
      style={fill ? { flex: 1, minHeight: 0, overflow: "auto", overflowAnchor: "none" }
        : { maxHeight: "72vh", overflow: "auto", overflowAnchor: "none" }}>
      <div className="table-row table-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns }}>
        {columns.map((column) => {
          const direction = sort?.title === column.title ? (sort.descending ? "descending" : "ascending") : "none";
          if (!column.order) return <span key={column.title} role="columnheader">{column.title}</span>;
          return (
            <span key={column.title} role="columnheader" aria-sort={direction}>
              <button type="button" onClick={() => setSort(nextSort(sort, column.title))}>
                {column.title} {direction === "ascending" && <IconArrowUp size={12} aria-hidden />}
                {direction === "descending" && <IconArrowDown size={12} aria-hidden />}
              </button>
            </span>
          );
        })}
      </div>
      <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          const key = rowKey(row);
          return (
            <div key={key} role="row" data-index={item.index} aria-rowindex={item.index + 2}
              className={`table-row table-body-row${onOpen ? " clickable" : ""}`}
              tabIndex={onOpen ? 0 : undefined}
              aria-selected={onOpen ? key === options.selected : undefined}
              onClick={onOpen && (() => onOpen(row))}
              onKeyDown={(event) => onKeyDown(event, item.index)}
              style={{ gridTemplateColumns, height: rowHeight, position: "absolute", insetInline: 0, top: item.start }}>
              {columns.map((column) => <div key={column.title} role="cell">{column.cell(row)}</div>)}
            </div>
          );
        })}
      </div>
    </div>
  );
}

interface Sort {
  title: string;
  descending: boolean;
}

/** Up, down, and back to the order given. */
function nextSort(sort: Sort | null, title: string): Sort | null {
  if (sort?.title !== title) return { title, descending: false };
  return sort.descending ? null : { title, descending: true };
}

function sorted<Row>(rows: readonly Row[], columns: readonly Column<Row>[], sort: Sort | null): readonly Row[] {
  const order = sort && columns.find(({ title }) => title === sort.title)?.order;
  if (!order) return rows;
  const sign = sort.descending ? -1 : 1;
  return rows.toSorted((left, right) => {
    const a = order(left);
    const b = order(right);
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  });
}
