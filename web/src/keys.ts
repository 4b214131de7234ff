// What keys do in the tree, by the tree view pattern of the ARIA Authoring Practices Guide.

import type { Place, Row } from "./tree";
import { select, type Workspace } from "./workspace";

export function keyPressed(event: KeyboardEvent, workspace: Workspace, page: number): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const { tree } = workspace;
  const number = tree.numberOf(tree.active.value) ?? 0;
  const act = actionOf(event.key, workspace, Math.min(number, tree.size - 1), page);
  if (!act) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}

function actionOf(key: string, workspace: Workspace, number: number, page: number): (() => void) | undefined {
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
      return tree.size === 0 ? undefined : actionOn(key, workspace, tree.row(number), number);
  }
}

function actionOn(key: string, workspace: Workspace, row: Row, number: number): (() => void) | undefined {
  const { tree } = workspace;
  const { group } = row;
  if (!group) return key === "Enter" && row.list.failure ? () => row.list.retry() : undefined;
  const isOpen = tree.isOpen(group.id);
  const { mayWrite } = workspace.session;
  switch (key) {
    case "ArrowRight":
      if (!isOpen) return () => tree.mayOpen(group.id) && void tree.open(group.id);
      return () => tree.list(group.id).total && activate(workspace, tree.row(number + 1));
    case "ArrowLeft":
      if (isOpen) return () => tree.close(row, group.id);
      return () => goToParent(workspace, row);
    case "Enter":
    case " ":
      return () => select(group.id);
    case "m":
      return mayWrite ? () => (workspace.dialog.value = { is: "move", group }) : undefined;
    case "n":
      return mayWrite ? () => (workspace.dialog.value = { is: "create", parent: group, values: null }) : undefined;
    case "Delete":
      return mayWrite ? () => (workspace.dialog.value = { is: "delete", group }) : undefined;
    default:
      return undefined;
  }
}

function goToParent(workspace: Workspace, row: Row): void {
  const parent = row.parent === null ? undefined : workspace.tree.find(row.parent);
  if (!parent) return;
  const above = parent.parentId ?? null;
  const index = workspace.tree.list(above).indexOf(parent.id);
  if (index !== undefined) activate(workspace, { parent: above, index });
}

function activate(workspace: Workspace, { parent, index }: Place): void {
  workspace.tree.active.value = { parent, index };
  workspace.scrolls.value += 1;
}
