// Search field and result list (ARIA combobox pattern).

import { useEffect, useRef } from "preact/hooks";
import type { CustomerGroup } from "./api";
import { advice } from "./failure";
import { Icon } from "./icons";
import type { Search, SearchState } from "./search";

type FieldProps = {
  search: Search;
  id: string;
  label: string;
  hint?: string;
  onChoose: (group: CustomerGroup) => void;
  // Runs on Escape when the field is empty.
  onLeave?: () => void;
};

export function SearchField({ search, id, label, hint, onChoose, onLeave }: FieldProps) {
  const state = search.state.value;
  const hasResults = state.kind === "found" && state.groups.length > 0;
  const onKeyDown = (event: KeyboardEvent) => {
    const action = {
      ArrowDown: () => search.step(1),
      ArrowUp: () => search.step(-1),
      Enter: () => search.chosen && onChoose(search.chosen),
      Escape: () => (search.text.value === "" ? onLeave?.() : search.clear()),
    }[event.key];
    if (!action || (event.key === "Escape" && search.text.value === "" && !onLeave)) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };
  return (
    <div class="search-field">
      <Icon name="search" />
      <input
        id={id}
        type="text"
        inputMode="search"
        role="combobox"
        list={undefined}
        aria-label={label}
        placeholder={label}
        aria-expanded={hasResults}
        aria-controls={hasResults ? `${id}-results` : undefined}
        aria-activedescendant={hasResults ? `${id}-${search.active.value}` : undefined}
        aria-autocomplete="list"
        autocomplete="off"
        spellcheck={false}
        maxLength={255}
        value={search.text.value}
        onInput={(event) => search.setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {search.text.value !== "" && (
        <button type="button" class="icon-button" aria-label="Clear search" onClick={() => search.clear()}>
          <Icon name="close" />
        </button>
      )}
      {hint && search.text.value === "" && <kbd aria-hidden="true">{hint}</kbd>}
    </div>
  );
}

export function SearchResults({
  search,
  id,
  onChoose,
}: {
  search: Search;
  id: string;
  onChoose: FieldProps["onChoose"];
}) {
  const state = search.state.value;
  return (
    <div class="results">
      <p class="results-count" role="status">
        {summary(state)}
      </p>
      {state.kind === "failed" && (
        <div class="notice is-failure">
          <p>{state.failure.message}</p>
          <p>{advice(state.failure)}</p>
          <button type="button" onClick={() => search.retry()}>
            Try again
          </button>
        </div>
      )}
      {state.kind === "found" && state.groups.length > 0 && (
        <ul id={`${id}-results`} role="listbox" aria-label="Search results">
          {state.groups.map((group, index) => (
            <Result key={group.id} {...{ search, id, group, index, onChoose }} />
          ))}
        </ul>
      )}
      {state.kind === "found" && state.hasMore && (
        <button type="button" class="more" onClick={() => void search.more()}>
          Show more
        </button>
      )}
    </div>
  );
}

type ResultProps = {
  search: Search;
  id: string;
  group: CustomerGroup;
  index: number;
  onChoose: FieldProps["onChoose"];
};

function Result({ search, id, group, index, onChoose }: ResultProps) {
  const item = useRef<HTMLLIElement>(null);
  const isActive = search.active.value === index;
  const path = search.paths.value.get(group.id);
  useEffect(() => {
    if (isActive) item.current?.scrollIntoView({ block: "nearest" });
  }, [isActive]);
  return (
    <li
      ref={item}
      id={`${id}-${index}`}
      role="option"
      aria-selected={isActive}
      class={isActive ? "result is-active" : "result"}
      onPointerEnter={() => void search.loadPath(group.id)}
      onClick={() => onChoose(group)}
    >
      <Icon name={group.isGroup ? "folder" : "leaf"} />
      <span class="name">
        <Highlighted text={group.customerGroupName} part={search.text.value.trim()} />
      </span>
      <span class="path">{path ? fullPath(path) : shortPath(search, group)}</span>
    </li>
  );
}

// A name with the search text highlighted.
function Highlighted({ text, part }: { text: string; part: string }) {
  const at = text.toLowerCase().indexOf(part.toLowerCase());
  if (part === "" || at < 0) return <>{text}</>;
  const end = at + part.length;
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, end)}</mark>
      {text.slice(end)}
    </>
  );
}

function fullPath(path: CustomerGroup[]): string {
  return path.length === 0
    ? "Top level"
    : path
        .map(({ customerGroupName }) => customerGroupName)
        .reverse()
        .join(" › ");
}

function shortPath(search: Search, { parentId }: CustomerGroup): string {
  if (parentId === undefined) return "Top level";
  const parent = search.parents.value.get(parentId);
  return parent ? `… › ${parent.customerGroupName}` : "…";
}

function summary(state: SearchState): string {
  switch (state.kind) {
    case "idle":
    case "failed":
      return "";
    case "searching":
      return "Searching…";
    case "found":
      if (state.total === 0) return "No group name contains this text.";
      return state.total === 1 ? "1 group" : `${state.total.toLocaleString("en")} groups`;
  }
}
