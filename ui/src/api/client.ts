// The one way to the console's API: typed by the generated schema, errors as problem documents (RFC 9457).
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

/** The API's paths, as they stand below its version. */
type Below<Paths> = { [Path in keyof Paths as Path extends `/api/v1${infer Rest}` ? Rest : never]: Paths[Path] };

type ProblemDocument = components["schemas"]["Problem"];
export type Diagnostic = components["schemas"]["Diagnostic"];

/** What the console answered instead of what was asked for. */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly diagnostics: readonly Diagnostic[];

  constructor(document: Partial<ProblemDocument>, status: number) {
    super(document.detail || document.title || `the console answered ${status}`);
    this.status = status;
    this.title = document.title ?? "The console could not do this";
    this.detail = document.detail ?? "";
    this.diagnostics = document.diagnostics ?? [];
  }
}

/** Set with each session, sent with each change: the proof that a change comes from this page (see docs/console.md). */
let csrf = "";
export function setCsrf(token: string): void {
  csrf = token;
}

/** Called when the session has ended while the page was open. */
let onSignedOut: () => void = () => {};
export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

const middleware: Middleware = {
  onRequest({ request }) {
    if (request.method !== "GET" && csrf) request.headers.set("X-Moat-CSRF", csrf);
    return request;
  },
  async onResponse({ request, response }) {
    if (response.ok) return response;
    if (response.status === 401 && !request.url.endsWith("/session")) onSignedOut();
    const document = (await response.json().catch(() => ({}))) as Partial<ProblemDocument>;
    throw new Problem(document, response.status);
  },
  onError({ error }) {
    return new Problem(
      { title: "The console does not answer", detail: error instanceof Error ? error.message : String(error) }, 0);
  },
};

export const api = createClient<Below<paths>>({
  baseUrl: "/api/v1",
  // Lists are one parameter with commas.
  querySerializer: { array: { style: "form", explode: false } },
  headers: { Accept: "application/json" },
});
api.use(middleware);

/** The body of an answer. Errors were thrown already; an answer without a body is `undefined`. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}

/** The `If-Match` of a change to what was read at `revision`. */
export function ifMatch(revision: number): { "If-Match": string } {
  return { "If-Match": `"${revision}"` };
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem({ title: "Something is wrong here", detail: error instanceof Error ? error.message : String(error) }, 0);
}
