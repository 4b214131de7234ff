// Keyboard navigation of the tree (tree view pattern of the ARIA Authoring Practices Guide).

import type { Place, Row } from "./tree";
import { select, type Workspace } from "./workspace";

export function handleTreeKey(event: KeyboardEvent, workspace: Workspace, page: number): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const { tree } = workspace;
  const number = tree.numberOf(tree.active.value) ?? 0;
  const action = treeAction(event.key, workspace, Math.min(number, tree.size - 1), page);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}

function treeAction(key: string, workspace: Workspace, number: number, page: number): (() => void) | undefined {
  const { tree } = workspace;
  const go = (to: number) => () => activate(workspace, tree.row(Math.max(0, Math.min(tree.size - 1, to))));
  switch (key) {
    case "ArrowDown":
      return go(number + 1);
    case "ArrowUp":
      return go(number - 1);
    case "PageDown":
      return go(number + page);
    case "PageUp":
      return go(number - page);
    case "Home":
      return go(0);
    case "End":
      return go(tree.size - 1);
    default:
      return tree.size === 0 ? undefined : rowAction(key, workspace, tree.row(number), number);
  }
}

function rowAction(key: string, workspace: Workspace, row: Row, number: number): (() => void) | undefined {
  const { tree } = workspace;
  const { group } = row;
  if (!group) return key === "Enter" && row.list.failure ? () => row.list.retry() : undefined;
  const isOpen = tree.isOpen(group.id);
  const { canWrite } = workspace.session;
  switch (key) {
    case "ArrowRight":
      if (!isOpen) return () => tree.canOpen(group.id) && void tree.open(group.id);
      return () => tree.list(group.id).total && activate(workspace, tree.row(number + 1));
    case "ArrowLeft":
      if (isOpen) return () => tree.close(row, group.id);
      return () => goToParent(workspace, row);
    case "Enter":
    case " ":
      return () => select(group.id);
    case "m":
      return canWrite ? () => (workspace.dialog.value = { kind: "move", group }) : undefined;
    case "n":
      return canWrite ? () => (workspace.dialog.value = { kind: "create", parent: group, values: null }) : undefined;
    case "Delete":
      return canWrite ? () => (workspace.dialog.value = { kind: "delete", group }) : undefined;
    default:
      return undefined;
  }
}

function goToParent(workspace: Workspace, row: Row): void {
  const parent = row.parent === null ? undefined : workspace.tree.find(row.parent);
  if (!parent) return;
  const grandparent = parent.parentId ?? null;
  const index = workspace.tree.list(grandparent).indexOf(parent.id);
  if (index !== undefined) activate(workspace, { parent: grandparent, index });
}

function activate(workspace: Workspace, { parent, index }: Place): void {
  workspace.tree.active.value = { parent, index };
  workspace.scrollRequests.value += 1;
}
