import { service } from "./service";

/** The way in which orval's client sends requests. */
export async function orvalFetch<T>(path: string, options: RequestInit): Promise<T> {
  const headers = { ...options.headers, ...service.headers };
  const response = await fetch(service.address + path, { ...options, headers });
  return { data: await response.json(), status: response.status, headers: response.headers } as T;
}
