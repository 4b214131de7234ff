// A field that finds groups by name, and the list of those that it found (the combobox pattern of ARIA).

import { useEffect, useRef } from "preact/hooks";
import type { CustomerGroup } from "./api";
import { advice } from "./failure";
import { Icon } from "./icons";
import type { Found, Search } from "./search";

type FieldProps = {
  search: Search;
  id: string;
  label: string;
  hint?: string;
  onChoose: (group: CustomerGroup) => void;
  // Called by Escape when there is nothing left to clear.
  onLeave?: () => void;
};

export function SearchField({ search, id, label, hint, onChoose, onLeave }: FieldProps) {
  const found = search.found.value;
  const hasResults = found.is === "found" && found.groups.length > 0;
  const keyPressed = (event: KeyboardEvent) => {
    const act = {
      ArrowDown: () => search.step(1),
      ArrowUp: () => search.step(-1),
      Enter: () => search.chosen && onChoose(search.chosen),
      Escape: () => (search.text.value === "" ? onLeave?.() : search.clear()),
    }[event.key];
    if (!act || (event.key === "Escape" && search.text.value === "" && !onLeave)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
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
        onInput={(event) => search.enter(event.currentTarget.value)}
        onKeyDown={keyPressed}
      />
      {search.text.value !== "" && (
        <button type="button" class="icon-button" aria-label="Clear the search" onClick={() => search.clear()}>
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
  const found = search.found.value;
  return (
    <div class="results">
      <p class="results-count" role="status">
        {countOf(found)}
      </p>
      {found.is === "failed" && (
        <div class="notice is-failure">
          <p>{found.failure.message}</p>
          <p>{advice(found.failure)}</p>
          <button type="button" onClick={() => search.retry()}>
            Try again
          </button>
        </div>
      )}
      {found.is === "found" && found.groups.length > 0 && (
        <ul id={`${id}-results`} role="listbox" aria-label="Groups found">
          {found.groups.map((group, index) => (
            <Result key={group.id} {...{ search, id, group, index, onChoose }} />
          ))}
        </ul>
      )}
      {found.is === "found" && found.hasMore && (
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
      onPointerEnter={() => void search.trace(group.id)}
      onClick={() => onChoose(group)}
    >
      <Icon name={group.isGroup ? "folder" : "leaf"} />
      <span class="name">
        <Marked text={group.customerGroupName} part={search.text.value.trim()} />
      </span>
      <span class="path">{path ? wholePath(path) : partOfPath(search, group)}</span>
    </li>
  );
}

// A name with what was searched for in it.
function Marked({ text, part }: { text: string; part: string }) {
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

function wholePath(path: CustomerGroup[]): string {
  return path.length === 0
    ? "Top level"
    : path
        .map(({ customerGroupName }) => customerGroupName)
        .reverse()
        .join(" › ");
}

function partOfPath(search: Search, { parentId }: CustomerGroup): string {
  if (parentId === undefined) return "Top level";
  const parent = search.parents.value.get(parentId);
  return parent ? `… › ${parent.customerGroupName}` : "…";
}

function countOf(found: Found): string {
  switch (found.is) {
    case "idle":
    case "failed":
      return "";
    case "searching":
      return "Searching…";
    case "found":
      if (found.total === 0) return "No group has this in its name.";
      return found.total === 1 ? "1 group" : `${found.total.toLocaleString("en")} groups`;
  }
}
