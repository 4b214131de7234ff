// Virtualized tree: renders the visible rows and handles keyboard, mouse and drag and drop.

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Dragging } from "./dragging";
import { advice } from "./failure";
import { Icon } from "./icons";
import { handleTreeKey } from "./keys";
import type { Place, Row, Tree } from "./tree";
import { select, type Workspace } from "./workspace";

// Rows rendered beyond each edge, to avoid flicker while scrolling.
const OVERSCAN_ROWS = 8;

// Rows loaded beyond each edge.
const PREFETCH_ROWS = 60;

// The minimum time between two loads while scrolling.
const LOAD_INTERVAL_MS = 100;

export function TreeView({ workspace, chosen }: { workspace: Workspace; chosen: string | null }) {
  const { tree } = workspace;
  const box = useRef<HTMLDivElement>(null);
  const view = useSignal({ top: 0, height: 600, row: 32 });
  const dragging = useRef(new Dragging(workspace));
  const active = tree.active.value;
  tree.version.value;

  useLayoutEffect(() => {
    const element = box.current!;
    const measure = () => {
      const row = Number.parseFloat(getComputedStyle(element).getPropertyValue("--row"));
      view.value = { top: element.scrollTop, height: element.clientHeight, row };
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  // Scrolls to the active row on request, as soon as the row exists.
  const handled = useRef(0);
  useSignalEffect(() => {
    const requests = workspace.scrollRequests.value;
    tree.version.value;
    const number = tree.numberOf(tree.active.value);
    if (handled.current === requests || number === undefined) return;
    handled.current = requests;
    requestAnimationFrame(() => scrollTo(box.current, number, view.peek().row));
  });

  const { top, height, row } = view.value;
  const first = Math.max(0, Math.floor(top / row) - OVERSCAN_ROWS);
  const last = Math.min(tree.size, Math.ceil((top + height) / row) + OVERSCAN_ROWS);
  const rows: Row[] = [];
  for (let number = first; number < last; number += 1) rows.push(tree.row(number));

  useRowLoading(tree, first - PREFETCH_ROWS, last + PREFETCH_ROWS);

  const isActiveRendered = rows.some((shown) => isAt(shown, active));
  return (
    <div
      ref={box}
      class="tree"
      role="tree"
      tabIndex={0}
      aria-label="Customer groups"
      aria-busy={rows.some(({ group, list }) => !group && !list.failure)}
      aria-activedescendant={isActiveRendered ? domId(active) : undefined}
      onScroll={(event) => (view.value = { ...view.peek(), top: event.currentTarget.scrollTop })}
      onKeyDown={(event) => handleTreeKey(event, workspace, Math.floor(height / row))}
    >
      <div class="tree-space" role="none" style={{ height: `${tree.size * row}px` }}>
        {rows.map((shown, offset) => (
          <TreeRow
            key={domId(shown)}
            {...{ workspace, row: shown, chosen, dragging: dragging.current }}
            top={(first + offset) * row}
            isActive={isAt(shown, active)}
          />
        ))}
      </div>
    </div>
  );
}

// Loads the rows from `first` to `last`, throttled while the range changes.
function useRowLoading(tree: Tree, first: number, last: number): void {
  const wanted = useRef({ first, last });
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  wanted.current = { first, last };
  const load = () => {
    timer.current = undefined;
    const end = Math.min(tree.size, wanted.current.last);
    for (let number = Math.max(0, wanted.current.first); number < end; number += 1) {
      const { list, index, group } = tree.row(number);
      if (!group) void list.ensureLoaded(index);
    }
  };
  useEffect(() => {
    timer.current ??= setTimeout(load, LOAD_INTERVAL_MS);
  });
  useEffect(() => () => clearTimeout(timer.current), []);
}

type RowProps = {
  workspace: Workspace;
  row: Row;
  chosen: string | null;
  dragging: Dragging;
  top: number;
  isActive: boolean;
};

function TreeRow({ workspace, row, chosen, dragging, top, isActive }: RowProps) {
  const { tree, drafts, session } = workspace;
  const { group, list } = row;
  const id = group?.id;
  const isTarget = useComputed(() => id !== undefined && dragging.target.value === id);
  const isEdited = useComputed(() => id !== undefined && drafts.all.value.has(id));
  const isOpen = id !== undefined && tree.isOpen(id);
  const canOpen = id !== undefined && tree.canOpen(id);
  const total = isOpen && canOpen ? tree.list(id).total : undefined;
  const classes = ["row", isActive && "is-active", id === chosen && id && "is-chosen", isTarget.value && "is-target"];
  const common = {
    id: domId(row),
    role: "treeitem" as const,
    class: classes.filter(Boolean).join(" "),
    style: { top: `${top}px`, "--level": row.level },
    "aria-level": row.level,
    "aria-setsize": list.total ?? -1,
    "aria-posinset": row.index + 1,
  };
  if (!group || id === undefined) {
    return (
      <div {...common} aria-label={list.failure ? `${list.failure.message} Try again` : "Loading"}>
        {list.failure ? <Failed row={row} /> : <span class="skeleton" />}
      </div>
    );
  }
  const children = total === undefined ? "" : `, ${childCount(total)}`;
  return (
    <div
      {...common}
      aria-expanded={canOpen ? isOpen : undefined}
      aria-selected={id === chosen}
      aria-label={`${group.customerGroupName}${children}${isEdited.value ? ", not saved" : ""}`}
      draggable={session.canWrite}
      onClick={() => {
        tree.active.value = { parent: row.parent, index: row.index };
        select(id);
      }}
      onDblClick={() => toggle(workspace, row)}
      {...dragging.handlers(row, group)}
    >
      <span
        class={canOpen ? `twist ${isOpen ? "is-open" : ""}` : "twist is-empty"}
        onClick={(event) => {
          event.stopPropagation();
          tree.active.value = { parent: row.parent, index: row.index };
          toggle(workspace, row);
        }}
      >
        <Icon name="chevron" />
      </span>
      <Icon name={group.isGroup ? "folder" : "leaf"} />
      <span class="name">{group.customerGroupName}</span> {isEdited.value && <span class="dot" title="Not saved" />}
      {total !== undefined && <span class="count">{total.toLocaleString("en")}</span>}
    </div>
  );
}

function childCount(total: number): string {
  return total === 1 ? "1 child" : `${total.toLocaleString("en")} children`;
}

function Failed({ row }: { row: Row }) {
  const { failure } = row.list;
  return (
    <span class="row-failed">
      <Icon name="warning" />
      <span class="name" title={failure ? `${failure.message} ${advice(failure)}` : ""}>
        {failure?.message}
      </span>{" "}
      <span class="link" onClick={() => row.list.retry()}>
        Try again
      </span>
    </span>
  );
}

export function toggle(workspace: Workspace, row: Row): void {
  const { tree } = workspace;
  if (!row.group) return;
  if (tree.isOpen(row.group.id)) tree.close(row, row.group.id);
  else if (tree.canOpen(row.group.id)) void tree.open(row.group.id);
}

function isAt(row: Row, place: Place): boolean {
  return row.parent === place.parent && row.index === place.index;
}

function domId({ parent, index }: Place): string {
  return `row-${parent ?? "root"}-${index}`;
}

function scrollTo(box: HTMLDivElement | null, number: number, row: number): void {
  if (!box) return;
  const [top, bottom] = [number * row, (number + 1) * row];
  // A distant row is centred; a near row is scrolled just into view.
  const isFar = top < box.scrollTop - box.clientHeight || bottom > box.scrollTop + 2 * box.clientHeight;
  if (isFar) box.scrollTop = top - (box.clientHeight - row) / 2;
  else if (top < box.scrollTop) box.scrollTop = top;
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
}
