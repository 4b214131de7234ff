// Decorative icons in the current text colour. Text beside them carries the meaning.

const PATHS = {
  chevron: "M6 4l4 4-4 4",
  folder:
    "M2 4.5A1.5 1.5 0 0 1 3.5 3h2.6l1.6 1.8h4.8A1.5 1.5 0 0 1 14 6.3v5.2a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 2 11.5z",
  leaf: "M8.5 2.5H13v4.5l-6 6L2.5 8.5zM10.6 4.9h.01",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.7 10.7L14 14",
  refresh: "M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3",
  plus: "M8 3v10M3 8h10",
  move: "M2.5 8h9M8.5 5l3 3-3 3M13.5 3v10",
  trash: "M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5",
  close: "M4 4l8 8M12 4l-8 8",
  back: "M9.5 3.5L5 8l4.5 4.5",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
  out: "M6 3H3v10h3M9 5l3 3-3 3M12 8H6",
  warning: "M8 2.5L14.5 13.5h-13zM8 6.5v3.2M8 11.6v.01",
  check: "M3 8.5l3.2 3.2L13 5",
  tree: "M4 3v9.5h4M4 6.5h4M10 5h4v3h-4zM10 11h4v3h-4zM2.5 1.5h3v2h-3z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
